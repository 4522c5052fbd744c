// What llama.cpp makes of tiny models: node record.mjs MODELS GOLDENS > NEW
// MODELS/<model>/model.gguf are files that make_tiny wrote. Of each case of GOLDENS whose witness is llama.cpp, the model, the prompt, the
// longest sequence, the number of tokens and the seed of an adapter are read, the rest is recorded anew; other cases are copied. README.md beside this says more.
import {getLlama} from "node-llama-cpp";
import {readFileSync} from "fs";

const [, , models, file] = process.argv;
const goldens = JSON.parse(readFileSync(file, "utf8"));
const llama = await getLlama({gpu: false, build: "never", progressLogs: false, maxThreads: 1, logLevel: "error"});
const rounded = (x) => Number(x.toFixed(6));

// The five likeliest tokens and the natural logarithms of their probabilities.
function best(step, logits) {
  const list = [...logits].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
  const sum = list.reduce((s, [, logit]) => s + Math.exp(logit - list[0][1]), 0);
  const top = list.slice(0, 5);
  return {step, tokens: top.map(([token]) => token), logprobs: top.map(([, logit]) => rounded(logit - list[0][1] - Math.log(sum)))};
}

async function record(golden) {
  const model = await llama.loadModel({modelPath: `${models}/${golden.model}/model.gguf`});
  const context = await model.createContext({
    contextSize: golden.max_length, batchSize: 512, threads: 1, flashAttention: false,
    experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32",
    lora: golden.adapter ? {adapters: [{filePath: `${models}/${golden.model}/adapter.gguf`}]} : undefined
  });
  const sequence = context.getSequence();
  const count = golden.tokens.length, tokens = [], top = [];
  let margin = Infinity, input = golden.prompt;
  for (let step = 0; step < count; ++step) {
    const next = {generateNext: {token: true, logits: true, options: {temperature: 0}}};
    const results = await sequence.controlledEvaluate(input.map((token, i) => i + 1 === input.length ? [token, next] : token));
    const {token, logits} = results[input.length - 1].next;
    const [first, second] = [...logits.values()].sort((a, b) => b - a);
    margin = Math.min(margin, first - second);
    if (step === 0 || step === count >> 1 || step + 1 === count) top.push(best(step, logits));
    tokens.push(token);
    input = [token];
  }
  await context.dispose();
  await model.dispose();
  return {...golden, tokens, smallest_margin: rounded(margin), top};
}

const cases = [];
for (const golden of goldens.cases) cases.push(golden.witness === "llama.cpp" ? await record(golden) : golden);
const {cases: _, models: hashes, ...rest} = goldens;
const fields = Object.entries(rest).map(([key, value]) => ` ${JSON.stringify(key)}: ${JSON.stringify(value)}`);
const hashed = Object.entries(hashes).map(([name, value]) => `  ${JSON.stringify(name)}: ${JSON.stringify(value)}`);
console.log(`{\n${fields.join(",\n")},\n "models": {\n${hashed.join(",\n")}\n },\n "cases": [\n${cases.map((c) => "  " + JSON.stringify(c)).join(",\n")}\n ]\n}`);
process.exit(0);
