// Serves a small model in OpenAI's chat form on 127.0.0.1: node serve.mjs MODEL.gguf. Prints its base_url, ends with its standard input.
import http from "node:http";
import {getLlama, LlamaChatSession} from "node-llama-cpp";

const llama = await getLlama({gpu: false, build: "never", progressLogs: false});
const model = await llama.loadModel({modelPath: process.argv[2]});
const context = await model.createContext({contextSize: 1024, threads: 2});
let turn = Promise.resolve(); // one question after the other: there is one context

async function answer(asked) {
  const system = asked.messages.filter(m => m.role === "system").map(m => m.content).join("\n");
  const question = asked.messages.filter(m => m.role === "user").at(-1).content;
  const schema = asked.response_format?.json_schema?.schema;
  const grammar = schema ? await llama.createGrammarForJsonSchema(schema) : undefined;
  const sequence = context.getSequence();
  try {
    const session = new LlamaChatSession({contextSequence: sequence, systemPrompt: system || undefined});
    const before = sequence.tokenMeter.getState();
    const {responseText, stopReason} = await session.promptWithMeta(question, {
      grammar, temperature: asked.temperature ?? 0, maxTokens: asked.max_tokens ?? 200, seed: 1,
    });
    const used = sequence.tokenMeter.diff(before);
    return {
      id: "chatcmpl", object: "chat.completion", model: asked.model,
      choices: [{index: 0, message: {role: "assistant", content: responseText},
                 finish_reason: stopReason === "maxTokens" ? "length" : "stop"}],
      usage: {prompt_tokens: used.usedInputTokens, completion_tokens: used.usedOutputTokens,
              total_tokens: used.usedInputTokens + used.usedOutputTokens},
    };
  } finally {
    sequence.dispose();
  }
}

const server = http.createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const mine = turn.then(() => answer(JSON.parse(Buffer.concat(parts))));
  turn = mine.catch(() => {});
  try {
    const body = JSON.stringify(await mine);
    response.writeHead(200, {"Content-Type": "application/json"}).end(body);
  } catch (error) {
    response.writeHead(500, {"Content-Type": "application/json"}).end(JSON.stringify({error: {message: String(error)}}));
  }
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/v1`));
process.stdin.resume().on("end", () => process.exit(0));
