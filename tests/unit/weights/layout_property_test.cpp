// A complete file is its own truth, in whatever way it is laid out: over models, formats, names, files and layouts of ranks that are drawn,
// one rank and what is not loaded are what is stored, several together never hold less, and of tensors that nobody knows or that are
// missing the plan says so. PLIMSOLL_LAYOUT_SEEDS=1000 draws more than usual.
#include <gmock/gmock.h>

#include <cstdlib>
#include <random>
#include <set>

#include "unit/weights/formats.hpp"
#include "unit/weights/gguf_cases.hpp"

namespace plimsoll::testing {
namespace {

// What a checkpoint may do without: some of what formats store beside a matrix, and a head.
bool may_be_absent(const std::string& name) {
  for (const char* word : {"scale", "zero", "g_idx", "shape", "absmax", "quant_map", "quant_state", "SCB", "lm_head"})
    if (name.find(word) != std::string::npos) return true;
  return false;
}

// A repository as it was drawn, on disk.
struct DrawnFiles {
  test::TemporaryDirectory directory;
  std::string path, what;
  std::uint64_t stored_bytes = 0;
  std::size_t strangers = 0;
  bool lacks_a_tensor = false;
  bool gguf = false, adapter = false;
};

class DrawsFiles {
public:
  explicit DrawsFiles(std::uint64_t seed) : random_(seed) {}

  void draw(DrawnFiles& out) {
    out.path = out.directory.path();
    switch (below(4)) {
    case 0: return gguf(out);
    case 1: return mistral(out);
    default: return safetensors(out);
    }
  }

private:
  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  template <class T>
  const T& one_of(const std::vector<T>& all) {
    return all[below(all.size())];
  }

  void add_strangers(Tensors& tensors, DrawnFiles& out) {
    static const std::vector<std::string> names{"odd.weight", "model.layers.0.odd.weight", "model.layers.1.mlp.odd_proj.weight_scale",
                                                "model.layers.77.beyond.bias", "tower.blocks.3.strange.weight"};
    static const std::vector<std::string> types{"BF16", "F32", "U8", "F8_E4M3", "I32", "I64", "BOOL"};
    std::set<std::string> taken;
    for (std::uint64_t i = below(3); i > 0; --i)
      if (const std::string name = one_of(names); taken.insert(name).second) {
        tensors.push_back({name, one_of(types),
                           below(2) == 0 ? std::vector<std::uint64_t>{below(300) + 1} : std::vector<std::uint64_t>{64, below(300) + 1}});
        ++out.strangers;
      }
  }

  // In one file or several, with an index, without one, or with one that promises a tensor too many.
  void write_files(const std::string& directory, Tensors tensors, DrawnFiles& out) {
    std::shuffle(tensors.begin(), tensors.end(), random_);
    for (const SparseTensor& tensor : tensors) out.stored_bytes += test::sparse_tensor_bytes(tensor);
    const std::size_t files = below(3) + 1;
    std::vector<Tensors> shards(files);
    for (std::size_t i = 0; i < tensors.size(); ++i) shards[i % files].push_back(tensors[i]);
    const bool index = files > 1 && below(2) == 0;
    test::write_sharded(directory, shards, index);
    out.what += ", " + std::to_string(files) + (index ? " files and an index" : " files");
    if (files != 1 || below(3) != 0) return;
    std::map<std::string, std::string> map;
    for (const SparseTensor& tensor : tensors) map[tensor.name] = "model.safetensors";
    map["model.layers.0.self_attn.rotary_emb.inv_freq"] = "model.safetensors";
    test::write_text(directory + "/model.safetensors.index.json", test::index_text(map, out.stored_bytes));
    out.what += " whose index names one that is absent";
  }

  void safetensors(DrawnFiles& out) {
    Json config;
    Tensors tensors;
    if (below(2) == 0) {
      const std::vector<FormatCase> formats = format_cases();
      config = llama_config();
      if (const std::uint64_t n = below(formats.size() + 2); n < formats.size()) {
        config["torch_dtype"] = formats[n].base;
        config["quantization_config"] = formats[n].quantization;
        tensors = llama(formats[n].linear, std::string(formats[n].base) == "float16" ? "F16" : "BF16");
        out.what = std::string("a Llama in ") + formats[n].name;
        if (below(4) == 0) { // of settings that nobody reads
          config["quantization_config"]["quant_method"] = below(2) == 0 ? Json("quux") : Json(7);
          out.what += " under an unknown method";
        }
      } else {
        tensors = llama();
        out.what = "a Llama";
      }
    } else {
      static const std::vector<Experts> ways{Experts::kApart, Experts::kStacked, Experts::kFused};
      config = moe_config();
      const Experts way = one_of(ways);
      tensors = moe(way);
      out.what = "experts " + std::to_string(static_cast<int>(way));
      if (below(3) == 0) {
        config["architectures"] = {"Qwen3VLMoeForConditionalGeneration"};
        config["model_type"] = "qwen3_vl_moe_text";
        out.what += ", saved as text of a class that sees";
      }
    }
    if (below(4) == 0) config["tie_word_embeddings"] = true;
    if (below(4) == 0) drop(tensors, "lm_head");
    if (const std::size_t at = below(tensors.size()); below(4) == 0 && !may_be_absent(tensors[at].name)) {
      tensors.erase(tensors.begin() + static_cast<std::ptrdiff_t>(at));
      out.lacks_a_tensor = true;
      out.what += ", a tensor short";
    }
    static const std::vector<std::string> wrappers{"", "", "base_model.model.", "language_model.", "odd."};
    const std::string wrapper = one_of(wrappers);
    for (SparseTensor& tensor : tensors) tensor.name.insert(0, wrapper);
    out.what += ", names behind '" + wrapper + "'";
    add_strangers(tensors, out);
    test::write_text(out.directory / "config.json", config.dump());
    write_files(out.directory.path(), std::move(tensors), out);
    if (below(4) == 0) as_adapter(out);
  }

  // An adapter whose base that is.
  void as_adapter(DrawnFiles& out) {
    const Json config{{"peft_type", "LORA"},
                      {"r", 8},
                      {"lora_alpha", 16},
                      {"target_modules", {"q_proj", "v_proj"}},
                      {"base_model_name_or_path", out.path}};
    out.adapter = true;
    out.path = out.directory / "adapter";
    test::write_text(out.path + "/adapter_config.json", config.dump());
    out.what += ", as the base of an adapter";
  }

  // params.json and the names of its publisher.
  void mistral(DrawnFiles& out) {
    static const std::vector<std::pair<std::string, std::string>> words{{"model.embed_tokens", "tok_embeddings"},
                                                                        {"lm_head", "output"},
                                                                        {"model.norm", "norm"},
                                                                        {"model.layers", "layers"},
                                                                        {"self_attn.q_proj", "attention.wq"},
                                                                        {"self_attn.k_proj", "attention.wk"},
                                                                        {"self_attn.v_proj", "attention.wv"},
                                                                        {"self_attn.o_proj", "attention.wo"},
                                                                        {"mlp.gate_proj", "feed_forward.w1"},
                                                                        {"mlp.down_proj", "feed_forward.w2"},
                                                                        {"mlp.up_proj", "feed_forward.w3"},
                                                                        {"input_layernorm", "attention_norm"},
                                                                        {"post_attention_layernorm", "ffn_norm"}};
    Tensors tensors = llama();
    for (SparseTensor& tensor : tensors)
      for (const auto& [from, to] : words)
        if (const std::size_t at = tensor.name.find(from); at != std::string::npos) tensor.name.replace(at, from.size(), to);
    add_strangers(tensors, out);
    const Json params{{"dim", 256},      {"n_layers", 2},    {"head_dim", 64},    {"hidden_dim", 512}, {"n_heads", 4},
                      {"n_kv_heads", 2}, {"norm_eps", 1e-5}, {"vocab_size", 100}, {"rope_theta", 1e6}};
    const bool both = below(3) == 0; // a config.json beside tensors of these names
    test::write_text(out.directory / (both ? "config.json" : "params.json"), both ? llama_config().dump() : params.dump());
    for (const SparseTensor& tensor : tensors) out.stored_bytes += test::sparse_tensor_bytes(tensor);
    out.what = both ? "consolidated files beside a config.json" : "Mistral's format";
    out.strangers += 1; // no planner has these names
    if (below(2) == 0) return test::write_safetensors(out.directory / "consolidated.safetensors", tensors);
    const auto half = tensors.begin() + static_cast<std::ptrdiff_t>(tensors.size() / 2);
    test::write_safetensors(out.directory / "consolidated-00001-of-00002.safetensors", {tensors.begin(), half});
    test::write_safetensors(out.directory / "consolidated-00002-of-00002.safetensors", {half, tensors.end()});
    out.what += " in two";
  }

  // A file, parts of one, or its header alone.
  void gguf(DrawnFiles& out) {
    static const std::vector<GgufCase> all = gguf_cases();
    const GgufCase& c = one_of(all);
    out.gguf = true;
    out.what = "GGUF of " + c.text("id");
    const std::vector<GgufTensor> tensors = gguf_tensors_of(c);
    for (const GgufTensor& tensor : tensors) {
      std::uint64_t elements = tensor.dims.size() > 1 ? 2 : 4;
      for (const std::uint64_t dim : tensor.dims) elements *= dim;
      out.stored_bytes += elements;
    }
    const std::size_t parts = below(2) == 0 ? 1 : below(3) + 2;
    const bool header = below(4) == 0;
    out.what += header ? ", the header alone" : "";
    if (parts == 1) {
      const test::GgufWriter writer = gguf_file_of(c);
      out.path = out.directory / "model.gguf";
      return header ? test::write_text(out.path, writer.start()) : writer.write(out.path);
    }
    out.what += " in " + std::to_string(parts);
    for (std::size_t part = 0; part < parts; ++part) {
      test::GgufWriter writer = part == 0 ? gguf_with_keys(c.text("architecture"), c.file["keys"]) : test::GgufWriter();
      writer.u16("split.no", static_cast<std::uint16_t>(part)).u16("split.count", static_cast<std::uint16_t>(parts));
      writer.i32("split.tensors.count", static_cast<std::int32_t>(tensors.size()));
      for (std::size_t i = part; i < tensors.size(); i += parts) add_half_tensor(writer, tensors[i].name, tensors[i].dims);
      const std::string path = out.directory / ("m-0000" + std::to_string(part + 1) + "-of-0000" + std::to_string(parts) + ".gguf");
      if (part == 0) out.path = path;
      if (header) test::write_text(path, writer.start());
      else writer.write(path);
    }
  }

  std::mt19937_64 random_;
};

std::uint64_t seeds_of_layouts() {
  const char* const given = std::getenv("PLIMSOLL_LAYOUT_SEEDS"); // NOLINT(concurrency-mt-unsafe): one thread
  return given == nullptr ? 150 : std::stoull(given);
}

// Whatever a layout of ranks holds, none of what is stored is lost on the way; returns false where it is refused.
bool hold_what_is_stored(const DrawnFiles& files, const Model& model, std::uint32_t tp, std::uint32_t pp, std::uint32_t ep) {
  PlanRequest request;
  request.tp = tp;
  request.pp = pp;
  request.ep = ep;
  if (files.adapter) { // an engine that has room for it, and would round 100 tokens up to 128
    request.engine = "vllm";
    request.engine_overrides["weights.vocab_padding_rows"] = "1";
  }
  const auto report = test::built_context().weights(model, request);
  if (!report) {
    EXPECT_EQ(report.error().code, ErrorCode::kBadRequest) << report.error().where << ": " << report.error().message;
    return false;
  }
  EXPECT_EQ(report->stored_bytes, files.stored_bytes);
  std::uint64_t sum = 0;
  for (const NotLoaded& part : report->not_loaded) sum += part.bytes;
  const std::uint64_t not_loaded = sum;
  for (const std::uint64_t bytes : report->rank_bytes) {
    sum += bytes;
    if (pp == 1 && !files.lacks_a_tensor) { // a tied head is a second copy on a stage of its own
      EXPECT_LE(bytes + not_loaded, files.stored_bytes);
    }
  }
  if (tp * pp == 1 && !files.lacks_a_tensor) {
    EXPECT_EQ(sum, files.stored_bytes);
  }
  EXPECT_GE(sum, files.stored_bytes);
  if (files.lacks_a_tensor) {
    EXPECT_FALSE(report->missing.empty() && report->mismatched.empty());
  }
  if (!files.gguf) {
    EXPECT_GE(report->unclaimed.size(), files.strangers);
  }
  return true;
}

TEST(Layouts, CountWhatIsStoredOnce) {
  std::size_t accepted = 0;
  for (std::uint64_t seed = 1; seed <= seeds_of_layouts(); ++seed) {
    DrawnFiles files;
    DrawsFiles(seed).draw(files);
    SCOPED_TRACE("seed " + std::to_string(seed) + ": " + files.what);
    const auto model = test::built_context().load(files.path);
    ASSERT_TRUE(model) << model.error().where << ": " << model.error().message;
    for (const auto& [tp, pp, ep] : {std::tuple(1U, 1U, 1U), std::tuple(2U, 1U, 1U), std::tuple(1U, 2U, 1U), std::tuple(4U, 1U, 1U),
                                     std::tuple(2U, 2U, 1U), std::tuple(2U, 1U, 2U), std::tuple(4U, 1U, 4U), std::tuple(3U, 1U, 1U)})
      if (hold_what_is_stored(files, *model, tp, pp, ep)) ++accepted;
    PlanRequest request;
    request.devices = "1x900GiB";
    request.engine = files.gguf ? "llama.cpp" : "vllm";
    request.max_length = 256;
    request.max_batch_size = 1;
    const auto plan = test::built_context().plan(*model, request);
    ASSERT_TRUE(plan) << plan.error().where << ": " << plan.error().message;
    std::set<WarningCode> said;
    for (const Warning& warning : plan->warnings) said.insert(warning.code);
    if (files.strangers > 0) {
      EXPECT_TRUE(said.contains(WarningCode::kUnclaimedTensors));
    }
    if (files.lacks_a_tensor) {
      EXPECT_TRUE(said.contains(WarningCode::kMissingTensors) || said.contains(WarningCode::kMismatchedTensors));
    }
    if (::testing::Test::HasFailure()) return; // the first is enough, and the smallest
  }
  EXPECT_GT(accepted, seeds_of_layouts() * 4);
}

// What an engine saved rank by rank is on each rank what its files store, and on no other number of ranks anything.
TEST(Layouts, SavedRankByRankAreWhatEachRankStores) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    std::mt19937_64 random(seed);
    const std::uint32_t ranks = static_cast<std::uint32_t>(random() % 4) + 1;
    const test::TemporaryDirectory directory;
    test::write_text(directory / "config.json", llama_config().dump());
    std::vector<std::uint64_t> stored(ranks);
    for (std::uint32_t rank = 0; rank < ranks; ++rank)
      for (std::uint64_t part = 0, parts = random() % 3 + 1; part < parts; ++part) {
        Tensors tensors;
        for (std::uint64_t i = random() % 4 + 1; i > 0; --i)
          tensors.push_back({"model.layers." + std::to_string(i) + ".part." + std::to_string(part), "BF16", {random() % 500 + 1, 16}});
        for (const SparseTensor& tensor : tensors) stored[rank] += test::sparse_tensor_bytes(tensor);
        test::write_safetensors(directory / ("model-rank-" + std::to_string(rank) + "-part-" + std::to_string(part) + ".safetensors"),
                                tensors);
      }
    const Model model = loaded(directory.path());
    for (std::uint32_t tp = 1; tp <= 4; tp *= 2) {
      PlanRequest request;
      request.tp = tp;
      const auto report = test::built_context().weights(model, request);
      ASSERT_EQ(report.has_value(), tp == ranks) << seed << ": " << tp << " of " << ranks;
      if (report) {
        EXPECT_EQ(report->rank_bytes, stored) << seed;
      }
    }
  }
}

} // namespace
} // namespace plimsoll::testing
