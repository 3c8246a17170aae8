"""Called by run.sh. Every figure is a median of interleaved rounds, with the least and the most beside it; ratios are taken round by round."""
import atexit, json, os, re, shutil, statistics, subprocess, sys, tempfile, time, urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
HOME = os.path.dirname(HERE)
ROUNDS, MANY, SECONDS, WARM, LONG, CURVE = 3, 9, 2, 16, 60, 32
FAST, SLOW = 18081, 18082  # a provider that answers at once, and one after 50 ms
PORTS = {"parley": 18090, "bare": 18091, "forced": 18094, "express": 18092, "javalin": 18093}


def get(url, timeout=5):
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return answer.read()


class Server:
    def __init__(self, name, jdk, provider, command=None):
        self.name, self.port = name, PORTS.get(name, 18090)
        self.folder = tempfile.mkdtemp(prefix="bench-")
        settings = {"PORT": str(self.port), "GEMINI_BASE_URL": f"http://127.0.0.1:{provider}", "GEMINI_API_KEY": "none", "HISTORY_DIR": self.folder + "/histories",
                    "HISTORY_WINDOW": "20", "SYSTEM_INSTRUCTIONS": "You are a helpful assistant.", "TEMPERATURE": "0.7", "NODE_ENV": "production", "JAVA_HOME": jdk}
        open(self.folder + "/.env", "w").write("")
        java = jdk + "/bin/java"
        commands = {"parley": [java, HOME + "/Main.java"], "bare": [java, HERE + "/peers/bare/Bare.java"],
                    "forced": [java, HERE + "/peers/bare/Bare.java", "--forced"], "express": ["node", HERE + "/peers/express/app.js"],
                    "javalin": [java, "-cp", HERE + "/peers/javalin/target/classes:" + HERE + "/peers/javalin/target/lib/*", "App"]}
        begun = time.monotonic()
        self.process = subprocess.Popen(command or commands[name], cwd=self.folder, env={**os.environ, **settings}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        atexit.register(self.process.kill)  # where something goes wrong
        while True:
            try:
                get(f"http://127.0.0.1:{self.port}/health")
                break
            except OSError:
                if self.process.poll() is not None:
                    raise SystemExit(f"{name} does not start")
                time.sleep(0.02)
        self.first = time.monotonic() - begun

    def cpu(self):
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident(self):
        return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{self.process.pid}/status").read())[1]) / 1024

    def load(self, connections, seconds):
        """Turns a second, the median in ms, CPU in ms a turn, and how many failed."""
        before, run = self.cpu(), f"r{time.time_ns()}"
        out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", HERE + "/chat.lua", f"http://127.0.0.1:{self.port}/chat", "--", run, str(2 * connections)],
                             capture_output=True, text=True, check=True).stdout
        rate, median, _, failed, count = map(float, re.search(r"RESULT (.*)", out)[1].split())
        return {"rate": rate, "ms": median, "cpu": 1000 * (self.cpu() - before) / max(1, count), "failed": failed}

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)


def spread(values, digits=2):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def interleaved(servers, connections, count=ROUNDS):
    rounds = [{server.name: server.load(connections, SECONDS) for server in servers} for _ in range(count)]
    return lambda name, figure: [each[name][figure] for each in rounds]


def ratios(ours, theirs):
    return [a / b if b else float("nan") for a, b in zip(ours, theirs)]  # a peer that answered nothing


def table_rows(label, at, figure, peers=[name for name in PORTS if name != "parley"]):
    """Parley's figure and CPU a turn against each peer's."""
    return [f"| {label} | {name} | {spread(ratios(at('parley', figure), at(name, figure)))} | {spread(ratios(at('parley', 'cpu'), at(name, 'cpu')))} | {at(name, 'failed')[0]:.0f} |"
            for name in peers]


def warm(jdk):
    """Against forced once more, when the JVMs have compiled most of what they will."""
    servers = [Server(name, jdk, FAST) for name in ("parley", "forced")]
    for server in servers:
        server.load(32, LONG)
    rows = table_rows(f"32 connections, {LONG} s warm", interleaved(servers, 32, MANY), "rate", ["forced"])
    for server in servers:
        server.stop()
    return rows


def rates(jdk, provider, connections, label):
    servers = [Server(name, jdk, provider) for name in PORTS]
    for server in servers:
        server.load(connections, WARM)
    rows = table_rows(label, interleaved(servers, connections), "rate")
    if provider == FAST:
        rows += table_rows("1 connection, the median time of a turn", interleaved(servers, 1), "ms")
    extra = streams(servers, jdk) if provider == FAST else memory(servers)
    for server in servers:
        server.stop()
    return rows, extra


def streams(servers, jdk):
    """The first delta of 500 streams at once, Parley's against bare's: five rounds after two to warm up."""
    first = {name: [] for name in ("parley", "bare")}
    for number in range(7):
        for server in servers:
            if server.name in first:
                delta = float(subprocess.run([jdk + "/bin/java", HERE + "/Streams.java", str(server.port), "500"], capture_output=True, text=True, check=True).stdout)
                first[server.name] += [delta] if number >= 2 else []
    return f"| 500 streams at once, the median first delta, against bare | {spread(ratios(first['parley'], first['bare']))} |"


def memory(servers):
    after = {server.name: server.resident() for server in servers}
    time.sleep(10)
    later = {server.name: server.resident() for server in servers}
    return "\n".join(f"| resident under load, and 10 s later: {name}, in MB | {after[name]:.0f}, {later[name]:.0f} |" for name in PORTS)


def long_history(jdk):
    """A turn behind 100,000 messages against one behind 10."""
    server, times = Server("parley", jdk, FAST), {10: [], 100_000: []}
    for count in times:
        lines = ",\n".join('{"role":"user","content":"What did the fox do?"},\n{"role":"assistant","content":"It jumped over the dog."}' for _ in range(count // 2))
        open(f"{server.folder}/histories/history_u{count}.json", "w").write("[\n" + lines + "\n]\n")
    for i in range(60):
        for count in times:
            request = urllib.request.Request(f"http://127.0.0.1:{server.port}/chat", json.dumps({"user_id": f"u{count}", "message": "And then?"}).encode(), {"Content-Type": "application/json"})
            begun = time.monotonic()
            get(request)
            if i >= 20:
                times[count].append(time.monotonic() - begun)
    server.stop()
    return f"| a turn behind 100,000 messages against one behind 10 | {statistics.median(times[100_000]) / statistics.median(times[10]):.2f} |"


def starts(jdk):
    hello = os.path.join(tempfile.mkdtemp(), "Hello.java")
    open(hello, "w").write('public class Hello { public static void main(String[] args) { System.out.println("hello"); } }')
    times = {"hello": [], "first": [], "later": [], "run.sh": []}
    resident = []
    for _ in range(MANY):
        begun = time.monotonic()
        subprocess.run([jdk + "/bin/java", hello], stdout=subprocess.DEVNULL, check=True)
        times["hello"].append(time.monotonic() - begun)
        shutil.rmtree(HOME + "/build", ignore_errors=True)
        for kind in ("first", "later"):
            server = Server("parley", jdk, FAST)
            times[kind].append(server.first)
            server.stop()
        for kind in (None, "run.sh"):  # the first stop writes the archive of classes
            server = Server("parley", jdk, FAST, [HOME + "/run.sh"])
            if kind:
                times[kind].append(server.first)
                time.sleep(1)
                resident.append(server.resident())
            server.stop()
    rows = [f"| {name} to the first answer, against java Hello.java | {spread(ratios(times[kind], times['hello']))} |"
            for kind, name in (("first", "java Main.java, first start,"), ("later", "java Main.java, later starts,"), ("run.sh", "./run.sh, later starts,"))]
    return "\n".join(rows + [f"| ./run.sh at rest, resident | {spread(resident, 0)} MB, of which a JVM that does nothing takes about 40 |"])


def curve(jdk):
    """Turns a second in each two seconds since the start, one server after the other."""
    lines = {}
    for name in PORTS:
        server = Server(name, jdk, FAST)
        begun, lines[name] = time.monotonic(), []
        while time.monotonic() - begun < CURVE:
            rate = server.load(32, 2)["rate"]
            lines[name].append((time.monotonic() - begun - 1, rate))
        server.stop()
    return lines


def svg(lines, title):
    width, height, left, bottom = 720, 380, 64, 44
    top = max(rate for points in lines.values() for _, rate in points) * 1.05
    x = lambda seconds: left + seconds / CURVE * (width - left - 110)
    y = lambda rate: height - bottom - rate / top * (height - bottom - 40)
    colours = {"parley": "#0b6e5f", "bare": "#777777", "forced": "#b8860b", "express": "#d7263d", "javalin": "#2364aa"}
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13">', f'<rect width="{width}" height="{height}" fill="white"/>', f'<text x="{left}" y="22" font-size="15">{title}</text>']
    for k in range(5):
        rate = top * k / 4
        out.append(f'<line x1="{left}" x2="{width - 110}" y1="{y(rate):.0f}" y2="{y(rate):.0f}" stroke="#ddd"/><text x="{left - 6}" y="{y(rate) + 4:.0f}" text-anchor="end">{rate:.0f}</text>')
    out += [f'<text x="{x(s):.0f}" y="{height - bottom + 18}" text-anchor="middle">{s} s</text>' for s in range(0, CURVE + 1, 10)]
    below = 0  # the label above must not be written over
    for name, points in sorted(lines.items(), key=lambda line: -line[1][-1][1]):
        path = " ".join(f"{x(s):.1f},{y(r):.1f}" for s, r in points)
        below = max(below + 14, y(points[-1][1]) + 4)
        out.append(f'<polyline fill="none" stroke="{colours[name]}" stroke-width="2" points="{path}"/><text x="{x(points[-1][0]) + 6:.0f}" y="{below:.0f}" fill="{colours[name]}">{name}</text>')
    return "\n".join(out + ["</svg>", ""])


def versions(jdk):
    java = re.search(r'"(.*)"', subprocess.run([jdk + "/bin/java", "-version"], capture_output=True, text=True).stderr)[1]
    express = json.load(open(HERE + "/peers/express/node_modules/express/package.json"))["version"]
    genai = json.load(open(HERE + "/peers/express/node_modules/@google/genai/package.json"))["version"]
    node = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip()
    pom = re.findall(r"<artifactId>(javalin|langchain4j-google-ai-gemini)</artifactId><version>(.*?)<", open(HERE + "/peers/javalin/pom.xml").read())
    cpu = re.search(r"model name\s*:\s*(.*)", open("/proc/cpuinfo").read())[1]
    return f"{time.strftime('%Y-%m-%d')}, JDK {java}, {os.cpu_count()} cores of {cpu}; node {node}, express {express}, @google/genai {genai}, " + ", ".join(" ".join(each) for each in pom)


def main():
    jdks, tables, lines = sys.argv[1:], [], None
    upstreams = [subprocess.Popen([jdks[0] + "/bin/java", "-Xmx1g", HERE + "/Provider.java", str(port), str(delay)]) for port, delay in ((FAST, 0), (SLOW, 50))]
    try:
        time.sleep(3)
        for jdk in jdks:
            begin = starts(jdk)
            fast, first = rates(jdk, FAST, 32, "32 connections, provider at once")
            slow, resident = rates(jdk, SLOW, 256, "256 connections, provider after 50 ms")
            head = f"### {versions(jdk)}\n\n| load | against | turns a second (time, for one connection): Parley's × | CPU a turn: Parley's × | failed |\n| --- | --- | --- | --- | --- |\n"
            table = head + "\n".join(fast + warm(jdk) + slow) + "\n\n| figure | |\n| --- | --- |\n" + "\n".join([begin, first, long_history(jdk), resident]) + "\n"
            print(table, flush=True)
            tables.append(table)
            if lines is None:
                lines = curve(jdk)
                open(HOME + "/docs/performance.svg", "w").write(svg(lines, "Turns a second since the start, 32 connections, provider at once"))
        open(HERE + "/work/results.md", "w").write("\n".join(tables))
    finally:
        for each in upstreams:
            each.kill()


main()
