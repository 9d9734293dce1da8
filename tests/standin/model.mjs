// A stand-in of the models' services, for tests with the real agents: `node model.mjs PORT DIR`.
//
// It speaks Anthropic's Messages API (Claude Code, and OpenCode with the provider `anthropic`) and OpenAI's
// Responses API (Codex), both streamed, and knows no model: DIR/script.json says what it answers.
//
//     {"turns": [{"tool": "Write", "input": {…}}, {"text": "done"}]}
//
// The turn is the number of results of tools that the conversation holds. The file is read at each request. A
// turn with `"custom": true` calls a tool of Codex that takes text in place of JSON.
//
// The shapes are those that the agents of the preset image send. Any other request is answered with 500 and
// written to DIR/refused.jsonl, so that an agent of another version fails its test and is looked at. What was
// answered stands in DIR/requests.jsonl.

import fs from "node:fs";
import http from "node:http";
import path from "node:path";

const [port, dir] = process.argv.slice(2);
fs.mkdirSync(dir, { recursive: true });

const append = (file, entry) => fs.appendFileSync(path.join(dir, file), JSON.stringify(entry) + "\n");

class Refusal extends Error {}
const must = (condition, why) => {
  if (!condition) throw new Refusal(why);
};

const onlyKeys = (body, needed, optional) => {
  for (const key of needed) must(key in body, `the body has no "${key}"`);
  const known = new Set([...needed, ...optional]);
  for (const key of Object.keys(body)) must(known.has(key), `the body has an unknown "${key}"`);
};

const script = () => JSON.parse(fs.readFileSync(path.join(dir, "script.json"), "utf8")).turns;

const turnAfter = (results) => {
  const turns = script();
  must(results < turns.length, `the script has no turn ${results}`);
  return turns[results];
};

// The agents, by the beginning of their `User-Agent`.
const AGENTS = { "claude-cli/": "claude", "codex_exec/": "codex", "opencode/": "opencode" };
const ENDPOINTS = {
  claude: "POST /v1/messages?beta=true",
  opencode: "POST /v1/messages",
  codex: "POST /v1/responses",
};
const MESSAGES = ["model", "max_tokens", "system", "messages", "stream"];
const MESSAGES_OPTIONAL = {
  claude: ["tools", "tool_choice", "metadata", "thinking", "context_management", "output_config", "temperature"],
  opencode: ["tools", "tool_choice", "thinking", "temperature"],
};
const RESPONSES = ["model", "stream", "input", "tool_choice", "store"];
const RESPONSES_OPTIONAL = [
  "instructions", "tools", "parallel_tool_calls", "reasoning", "include", "prompt_cache_key", "text", "client_metadata",
];

function anthropic(agent, headers, body) {
  must(headers["anthropic-version"] === "2023-06-01", "another version of the API");
  must(headers["x-api-key"], "no key");
  onlyKeys(body, MESSAGES, MESSAGES_OPTIONAL[agent]);
  must(body.stream === true, "not streamed");
  // A conversation without tools is about its title.
  if (!body.tools) return messages(body.model, { text: "A title" }, 0);
  const content = body.messages.flatMap((message) => (Array.isArray(message.content) ? message.content : []));
  const results = content.filter((block) => block.type === "tool_result").length;
  const turn = turnAfter(results);
  must(!turn.tool || body.tools.some((tool) => tool.name === turn.tool), `the agent offers no tool ${turn.tool}`);
  return messages(body.model, turn, results);
}

function messages(model, turn, number) {
  const block = turn.tool
    ? { type: "tool_use", id: `toolu_${number}`, name: turn.tool, input: {} }
    : { type: "text", text: "" };
  const delta = turn.tool
    ? { type: "input_json_delta", partial_json: JSON.stringify(turn.input) }
    : { type: "text_delta", text: turn.text };
  const message = {
    id: `msg_${number}`, type: "message", role: "assistant", model, content: [], stop_reason: null,
    stop_sequence: null, usage: { input_tokens: 1, output_tokens: 1 },
  };
  return [
    { type: "message_start", message },
    { type: "content_block_start", index: 0, content_block: block },
    { type: "content_block_delta", index: 0, delta },
    { type: "content_block_stop", index: 0 },
    {
      type: "message_delta",
      delta: { stop_reason: turn.tool ? "tool_use" : "end_turn", stop_sequence: null },
      usage: { output_tokens: 1 },
    },
    { type: "message_stop" },
  ];
}

function openai(headers, body) {
  must(headers.authorization?.startsWith("Bearer "), "no key");
  onlyKeys(body, RESPONSES, RESPONSES_OPTIONAL);
  must(body.stream === true, "not streamed");
  const results = body.input.filter((item) => item.type.endsWith("_call_output")).length;
  const turn = turnAfter(results);
  const call_id = `call_${results}`;
  let item;
  if (turn.custom) {
    item = { type: "custom_tool_call", id: `ctc_${results}`, call_id, name: turn.tool, input: turn.input, status: "completed" };
  } else if (turn.tool) {
    item = { type: "function_call", id: `fc_${results}`, call_id, name: turn.tool, arguments: JSON.stringify(turn.input) };
  } else {
    item = {
      type: "message", id: `msg_${results}`, role: "assistant", status: "completed",
      content: [{ type: "output_text", text: turn.text, annotations: [] }],
    };
  }
  const id = `resp_${results}`;
  const usage = {
    input_tokens: 1, input_tokens_details: { cached_tokens: 0 }, output_tokens: 1,
    output_tokens_details: { reasoning_tokens: 0 }, total_tokens: 2,
  };
  return [
    { type: "response.created", response: { id, object: "response", status: "in_progress", output: [] } },
    { type: "response.output_item.added", output_index: 0, item },
    { type: "response.output_item.done", output_index: 0, item },
    { type: "response.completed", response: { id, object: "response", status: "completed", output: [item], usage } },
  ];
}

function answer(request, text) {
  const known = Object.keys(AGENTS).find((start) => request.headers["user-agent"]?.startsWith(start));
  must(known, "an unknown agent");
  const agent = AGENTS[known];
  const endpoint = `${request.method} ${request.url}`;
  must(endpoint === ENDPOINTS[agent], `${agent} does not send ${endpoint}`);
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    throw new Refusal("the body is no JSON");
  }
  return agent === "codex" ? openai(request.headers, body) : anthropic(agent, request.headers, body);
}

const server = http.createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const body = Buffer.concat(parts).toString();
    const entry = { method: request.method, url: request.url, headers: request.headers, body };
    try {
      const events = answer(request, body);
      append("requests.jsonl", entry);
      response.writeHead(200, { "content-type": "text/event-stream" });
      for (const event of events) response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
      response.end();
    } catch (error) {
      // A fault of this program is one of the request too: no agent is to try in vain.
      append("refused.jsonl", { why: error.message, ...entry });
      response.writeHead(500, { "content-type": "application/json", "x-should-retry": "false" });
      response.end(JSON.stringify({ type: "error", error: { type: "api_error", message: `stand-in: ${error.message}` } }));
    }
  });
});
server.listen(Number(port), "127.0.0.1", () => console.log(`the stand-in listens on ${port}`));
