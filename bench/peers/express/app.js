// What a person would write with Express and Google's own SDK: a JSON file a user, one turn at a time for each user, written through a rename.
import {GoogleGenAI} from '@google/genai';
import express from 'express';
import fs from 'node:fs/promises';

const folder = process.env.HISTORY_DIR, window = 20, model = 'gemini-flash-latest';
const config = {systemInstruction: 'You are a helpful assistant.', temperature: 0.7};
await fs.mkdir(folder, {recursive: true});
const ai = new GoogleGenAI({apiKey: 'none', httpOptions: {baseUrl: process.env.GEMINI_BASE_URL}});
const turns = new Map(); // by user: the end of the last turn

const file = user => `${folder}/history_${user}.json`;
const load = async user => { try { return JSON.parse(await fs.readFile(file(user), 'utf8')); } catch (e) { if (e.code === 'ENOENT') return []; throw e; } };
const save = async (user, history) => { await fs.writeFile(file(user) + '.tmp', JSON.stringify(history, null, 1)); await fs.rename(file(user) + '.tmp', file(user)); };
const contents = history => history.slice(-window).map(m => ({role: m.role === 'assistant' ? 'model' : 'user', parts: [{text: m.content}]}));

async function turn(user, work) {
  const mine = (turns.get(user) ?? Promise.resolve()).then(work, work);
  turns.set(user, mine);
  try { return await mine; } finally { if (turns.get(user) === mine) turns.delete(user); }
}

const app = express().disable('x-powered-by').use(express.json());
app.get('/health', (request, response) => response.json({status: 'ok'}));
app.post('/chat', async (request, response) => {
  const {user_id: user, message, stream} = request.body ?? {};
  if (!/^[\w-]{1,64}$/.test(user ?? '') || !message) return response.status(400).json({error: 'bad request'});
  try {
    await turn(user, async () => {
      const history = await load(user);
      history.push({role: 'user', content: message, time: new Date().toISOString()});
      let reply = '';
      if (stream) {
        response.set('Content-Type', 'text/event-stream').flushHeaders();
        for await (const piece of await ai.models.generateContentStream({model, contents: contents(history), config})) {
          reply += piece.text ?? '';
          response.write(`data: ${JSON.stringify({text: piece.text ?? ''})}\n\n`);
        }
      } else reply = (await ai.models.generateContent({model, contents: contents(history), config})).text;
      history.push({role: 'assistant', content: reply, time: new Date().toISOString()});
      await save(user, history);
      if (stream) response.end('event: done\ndata: {}\n\n'); else response.json({user_id: user, reply});
    });
  } catch (e) {
    if (response.headersSent) response.end(); else response.status(502).json({error: String(e.message)});
  }
});
app.listen(process.env.PORT, '127.0.0.1', 4096);
