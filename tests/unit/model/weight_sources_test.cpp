// Where the weights of whole checkpoints lie: every tiny model of the test's own making, in safetensors, shards and GGUF, and what is
// refused with the tensor's name.
#include "model/weight_sources.hpp"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <set>

#include "support/built_context.hpp"
#include "support/filled_tensor.hpp"
#include "support/opened_model.hpp"
#include "support/sparse_checkpoint.hpp"
#include "support/tiny_gguf.hpp"
#include "support/tiny_hybrid_weights.hpp"
#include "support/tiny_model.hpp"
#include "support/tiny_quantized.hpp"

namespace plimsoll {
namespace {

using test::TinyModel;
using test::TinyTensor;
using ::testing::AllOf;
using ::testing::HasSubstr;

// Of hybrids nobody says yet how their tensors are stored; of the others no file is written.
const std::set<std::string> kNotFromGguf{"granite_hybrid", "qwen3_next",   "exaone4", "olmo3",      "smollm3", "glm4",         "cohere2",
                                         "minimax_m2",     "qwen3_vl_moe", "phi",     "starcoder2", "llama4",  "llama4_lists", "gemma4",
                                         "gemma4_inputs",  "gemma4_moe",   "opt",     "bloom",      "mpt",     "falcon",       "olmo",
                                         "chatglm"};

class EveryTinyModel : public ::testing::TestWithParam<std::string> {
protected:
  test::TemporaryDirectory folder_;
};

// Each element of each tensor comes from exactly one place of a file.
void expect_filled(const WeightSources& sources) {
  for (const WeightTensor& tensor : sources.tensors) {
    const std::vector<int> from = test::filled(tensor);
    EXPECT_EQ(std::count_if(from.begin(), from.end(), [](int at) { return at < 0; }), 0) << tensor.label << " " << tensor.layer;
  }
}

TEST_P(EveryTinyModel, IsFilledAndCountedAsItsPlanCountsIt) {
  const TinyModel model = test::tiny_model(GetParam());
  const std::string gguf = folder_ / "gguf/model.gguf";
  const bool from_gguf = !kNotFromGguf.contains(GetParam()) && !test::is_tiny_hybrid(nlohmann::json::parse(model.config));
  std::filesystem::create_directories(folder_ / "gguf");
  if (from_gguf) test::write_tiny_gguf(model, gguf);
  for (const std::uint32_t shards : {1U, 3U}) {
    const std::string folder = folder_ / std::to_string(shards);
    std::filesystem::create_directories(folder);
    test::write_tiny_folder(model, folder, shards == 1 ? test::TinyFormat::kF32 : test::TinyFormat::kBF16, shards);
  }
  for (const std::string& path : {folder_ / "1", folder_ / "3", gguf}) {
    if (path == gguf && !from_gguf) continue;
    const auto sources = test::sources_of(path);
    ASSERT_TRUE(sources) << path << ": " << sources.error().message << " (" << sources.error().where << ")";
    expect_filled(*sources);
    const auto loaded = test::built_context().load(path);
    ASSERT_TRUE(loaded) << loaded.error().message;
    for (const char* engine : {"max", "vllm"}) {
      PlanRequest request;
      request.devices = "1xH100";
      request.engine = engine;
      if (path == folder_ / "1") request.dtype = "float32"; // an engine of 16 bits would halve it
      const auto plan = test::built_context().plan(*loaded, request);
      ASSERT_TRUE(plan) << plan.error().message;
      EXPECT_EQ(sources->bytes(), plan->devices[0].weights_bytes) << path << " " << engine;
    }
    EXPECT_EQ(sources->files.size(), path == folder_ / "3" ? 3U : 1U);
    EXPECT_TRUE(std::is_sorted(sources->tensors.begin(), sources->tensors.end(),
                               [](const auto& a, const auto& b) { return std::tie(a.label, a.layer) < std::tie(b.label, b.layer); }));
  }
}

INSTANTIATE_TEST_SUITE_P(WeightSources, EveryTinyModel, ::testing::ValuesIn(test::tiny_model_names()),
                         [](const auto& info) { return info.param; });

// ---- one model in many clothes ----

class WeightSourcesOf : public ::testing::Test {
protected:
  // The model's weights after a change, and where they lie in the order of the names given.
  Result<WeightSources> sources(TinyModel model, const std::function<void(TinyModel&)>& change) {
    change(model);
    test::write_tiny_folder(model, folder_.path());
    return test::sources_of(folder_.path());
  }
  Error error(const TinyModel& model, const std::function<void(TinyModel&)>& change) {
    const auto found = sources(model, change);
    EXPECT_FALSE(found);
    return found ? Error{} : found.error();
  }
  test::TemporaryDirectory folder_;
};

TinyTensor& named(TinyModel& model, const std::string& name) {
  const auto found = std::find_if(model.tensors.begin(), model.tensors.end(), [&](const TinyTensor& t) { return t.name == name; });
  if (found == model.tensors.end()) throw std::runtime_error("no tensor " + name);
  return *found;
}
void erase(TinyModel& model, const std::string& name) {
  std::erase_if(model.tensors, [&](const TinyTensor& t) { return t.name == name; });
}
void rename_all(TinyModel& model, const std::string& from, const std::string& to) {
  for (TinyTensor& tensor : model.tensors)
    if (const auto at = tensor.name.find(from); at != std::string::npos) tensor.name.replace(at, from.size(), to);
}
// One tensor of several, row after row, in place of the first.
void fuse(TinyModel& model, const std::vector<std::string>& names, const std::string& into) {
  TinyTensor& first = named(model, names[0]);
  for (std::size_t i = 1; i < names.size(); ++i) {
    const TinyTensor& next = named(model, names[i]);
    first.shape[0] += next.shape[0];
    first.values.insert(first.values.end(), next.values.begin(), next.values.end());
  }
  first.name = into;
  for (std::size_t i = 1; i < names.size(); ++i) erase(model, names[i]);
}
// The rows of a tensor as tensors of their own.
void split(TinyModel& model, const std::string& name, const std::vector<std::pair<std::string, std::uint64_t>>& parts) {
  const TinyTensor whole = named(model, name);
  const std::uint64_t width = whole.values.size() / whole.shape[0];
  auto at = whole.values.begin();
  for (const auto& [part, rows] : parts) {
    TinyTensor tensor{part, whole.shape, {at, at + static_cast<std::ptrdiff_t>(rows * width)}};
    tensor.shape[0] = rows;
    at += static_cast<std::ptrdiff_t>(rows * width);
    model.tensors.push_back(std::move(tensor));
  }
  erase(model, name);
}

const WeightTensor* find(const WeightSources& sources, std::string_view label, std::uint32_t layer) {
  for (const WeightTensor& tensor : sources.tensors)
    if (tensor.label == label && tensor.layer == layer) return &tensor;
  return nullptr;
}

TEST_F(WeightSourcesOf, AnUntiedHeadHasATensorAndATiedOneHasNone) {
  const auto untied = sources(test::tiny_model("llama"), [](TinyModel&) {});
  ASSERT_TRUE(untied) << untied.error().message;
  EXPECT_NE(find(*untied, "head", UINT32_MAX), nullptr);
  const auto tied = sources(test::tiny_model("gemma2"), [](TinyModel&) {});
  ASSERT_TRUE(tied) << tied.error().message;
  EXPECT_EQ(find(*tied, "head", UINT32_MAX), nullptr);
  EXPECT_NE(find(*tied, "embedding", UINT32_MAX), nullptr);
}

TEST_F(WeightSourcesOf, WrappersOfNamesAreNoDifference) {
  for (const char* wrapper : {"", "language_model.model.", "model.language_model."}) {
    const auto wrapped = sources(test::tiny_model("qwen3"), [&](TinyModel& model) { rename_all(model, "model.", wrapper); });
    ASSERT_TRUE(wrapped) << wrapper << ": " << wrapped.error().message;
    expect_filled(*wrapped);
  }
}

TEST_F(WeightSourcesOf, ProjectionsThatTheFileFusesAreTakenApart) {
  const auto fused = sources(test::tiny_model("llama"), [](TinyModel& model) {
    for (const std::string at : {"model.layers.0.", "model.layers.1."}) {
      const std::string attention = at + "self_attn.", ffn = at + "mlp.";
      fuse(model, {attention + "q_proj.weight", attention + "k_proj.weight", attention + "v_proj.weight"}, attention + "qkv_proj.weight");
      fuse(model, {ffn + "gate_proj.weight", ffn + "up_proj.weight"}, ffn + "gate_up_proj.weight");
    }
  });
  ASSERT_TRUE(fused) << fused.error().message;
  expect_filled(*fused);
  const WeightTensor* const q = find(*fused, "attention.q_proj", 1);
  const WeightTensor* const k = find(*fused, "attention.k_proj", 1);
  const WeightTensor* const v = find(*fused, "attention.v_proj", 1);
  ASSERT_TRUE(q != nullptr && k != nullptr && v != nullptr);
  EXPECT_EQ(test::filled(*k).front(), test::filled(*q).back() + 1);
  EXPECT_EQ(test::filled(*v).front(), test::filled(*k).back() + 1);
}

TEST_F(WeightSourcesOf, PartsOfAProjectionThatTheModelFusesFollowOneAnother) {
  const auto parts = sources(test::tiny_model("phi3"), [](TinyModel& model) {
    for (const std::string at : {"model.layers.0.", "model.layers.1."}) {
      const std::string attention = at + "self_attn.";
      split(model, at + "mlp.gate_up_proj.weight", {{at + "mlp.up_proj.weight", 128}, {at + "mlp.gate_proj.weight", 128}});
      split(model, attention + "qkv_proj.weight",
            {{attention + "v_proj.weight", 64}, {attention + "q_proj.weight", 64}, {attention + "k_proj.weight", 64}});
    }
  });
  ASSERT_TRUE(parts) << parts.error().message;
  expect_filled(*parts);
  const WeightTensor* const qkv = find(*parts, "attention.qkv_proj", 0);
  ASSERT_NE(qkv, nullptr);
  EXPECT_EQ(qkv->parts, (std::vector<std::uint64_t>{64, 64, 64}));
  // The file has v, q, k: the tensor q, k, v.
  const std::vector<int> from = test::filled(*qkv);
  const std::size_t third = from.size() / 3;
  EXPECT_LT(from[2 * third], from[0]);
  EXPECT_LT(from[0], from[third]);
}

TEST_F(WeightSourcesOf, ExpertsMayLieInOneTensor) {
  const auto packed = sources(test::tiny_model("qwen3_moe"), [](TinyModel& model) {
    for (const std::string at : {"model.layers.0.mlp.experts.", "model.layers.1.mlp.experts."})
      for (const std::string part : {"gate_proj", "up_proj", "down_proj"}) {
        std::vector<std::string> names;
        for (int i = 0; i < 8; ++i) names.push_back(at + std::to_string(i) + "." + part + ".weight");
        fuse(model, names, at + part);
        TinyTensor& all = named(model, at + part);
        all.shape = {8, all.shape[0] / 8, all.shape[1]};
      }
  });
  ASSERT_TRUE(packed) << packed.error().message;
  expect_filled(*packed);
  const WeightTensor* const up = find(*packed, "experts.up_proj", 1);
  ASSERT_NE(up, nullptr);
  EXPECT_EQ(up->experts, 8U);
  EXPECT_EQ(up->pieces.size(), 1U);
}

// ---- refusals ----

TEST_F(WeightSourcesOf, AConfigAloneHasNoWeights) {
  test::write_text(folder_ / "config.json", test::tiny_model("llama").config);
  const auto found = test::sources_of(folder_.path());
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::kBadRequest);
  EXPECT_THAT(found.error().message, HasSubstr("there are no weights to load"));
}

TEST_F(WeightSourcesOf, WhatIsNotThereIsNamed) {
  const TinyModel model = test::tiny_model("llama"), experts = test::tiny_model("mixtral");
  for (const char* name : {"model.norm.weight", "lm_head.weight", "model.layers.1.mlp.up_proj.weight", "model.embed_tokens.weight"}) {
    const Error found = error(model, [&](TinyModel& m) { erase(m, name); });
    EXPECT_EQ(found.code, ErrorCode::kBadCheckpoint) << name;
    EXPECT_THAT(found.message, AllOf(HasSubstr("lacks"), HasSubstr(name)));
    EXPECT_THAT(found.where, HasSubstr("model.safetensors"));
  }
  const Error expert = error(experts, [](TinyModel& m) { erase(m, "model.layers.1.block_sparse_moe.experts.2.w3.weight"); });
  EXPECT_THAT(expert.message, HasSubstr("'model.layers.1.block_sparse_moe.experts.2.w3.weight'"));
}

TEST_F(WeightSourcesOf, WhatNobodyClaimsIsNamed) {
  const Error found = error(test::tiny_model("llama"), [](TinyModel& m) {
    m.tensors.push_back({"model.layers.0.twist.weight", {2}, {1, 2}});
  });
  EXPECT_EQ(found.code, ErrorCode::kUnsupportedArchitecture);
  EXPECT_THAT(found.message, AllOf(HasSubstr("'model.layers.0.twist.weight'"), HasSubstr("no planner claims it")));
  const auto buffer = sources(test::tiny_model("llama"), [](TinyModel& m) {
    m.tensors.push_back({"model.layers.0.self_attn.rotary_emb.inv_freq", {2}, {1, 2}});
  });
  EXPECT_TRUE(buffer) << buffer.error().message; // engines compute it
}

TEST_F(WeightSourcesOf, ShapesAndDoublesAreNamed) {
  const TinyModel model = test::tiny_model("llama");
  const Error shape =
      error(model, [](TinyModel& m) { std::swap(named(m, "lm_head.weight").shape[0], named(m, "lm_head.weight").shape[1]); });
  EXPECT_EQ(shape.code, ErrorCode::kBadCheckpoint);
  EXPECT_THAT(shape.message, HasSubstr("'lm_head.weight' is F32 [64, 320], expected F32 [320, 64]"));
  const Error twice = error(model, [](TinyModel& m) {
    TinyTensor other = named(m, "model.norm.weight");
    other.name = "norm.weight";
    m.tensors.push_back(std::move(other));
  });
  EXPECT_EQ(twice.code, ErrorCode::kBadCheckpoint);
  EXPECT_THAT(twice.message, AllOf(HasSubstr("'model.norm.weight'"), HasSubstr("'norm.weight'"), HasSubstr("remove one")));
}

TEST_F(WeightSourcesOf, TypesThatAreNotLoadedAreNamed) {
  test::write_text(folder_ / "config.json", test::tiny_model("llama").config);
  std::vector<test::SparseTensor> tensors;
  for (const TinyTensor& tensor : test::tiny_model("llama").tensors) tensors.push_back({tensor.name, "F32", tensor.shape});
  const auto message = [&](const char* type, std::size_t which) {
    tensors[which].dtype = type;
    test::write_safetensors(folder_ / "model.safetensors", tensors);
    tensors[which].dtype = "F32";
    const auto found = test::sources_of(folder_.path());
    EXPECT_FALSE(found) << type;
    if (found) return std::string();
    EXPECT_EQ(found.error().code, ErrorCode::kUnsupportedArchitecture);
    return found.error().message;
  };
  for (const char* type : {"F8_E4M3", "I8", "F64", "I32"})
    EXPECT_THAT(message(type, 3), AllOf(HasSubstr(tensors[3].name), HasSubstr("float32, float16 and bfloat16 are loaded"))) << type;
}

// ---- quantised ----

TEST_F(WeightSourcesOf, WhatAQuantisationLeftAloneIsReadAsItIsStored) {
  auto config = nlohmann::json::parse(test::tiny_model("llama").config);
  config["quantization_config"] = {{"quant_method", "fp8"}, {"weight_block_size", {128, 128}}};
  const auto found = sources(test::tiny_model("llama"), [&](TinyModel& m) { m.config = config.dump(); });
  ASSERT_TRUE(found) << found.error().message;
  expect_filled(*found);
}

class QuantizedSources : public ::testing::Test {
protected:
  Result<WeightSources> sources(const char* scheme, const std::function<void(test::QuantizedModel&)>& change) {
    test::QuantizedModel model = test::quantize_tiny(test::tiny_model("llama"), scheme);
    change(model);
    test::write_quantized_folder(model, folder_.path());
    return test::sources_of(folder_.path());
  }
  // Of what is wrong with the module kModule: names the file and the format.
  std::string message(const char* scheme, const std::function<void(test::QuantizedModel&)>& change,
                      ErrorCode code = ErrorCode::kBadCheckpoint) {
    const auto found = sources(scheme, change);
    EXPECT_FALSE(found) << scheme;
    if (found) return "";
    EXPECT_EQ(found.error().code, code) << found.error().message;
    EXPECT_THAT(found.error().where, HasSubstr(folder_ / "model.safetensors"));
    EXPECT_THAT(found.error().message, HasSubstr(kModule));
    return found.error().message;
  }
  static constexpr const char* kModule = "model.layers.0.mlp.up_proj"; // 128 outputs, 64 inputs
  static test::StoredTensor& part(test::QuantizedModel& m, const std::string& suffix) {
    for (test::StoredTensor& tensor : m.tensors)
      if (tensor.name == kModule + suffix) return tensor;
    throw std::runtime_error("no " + suffix);
  }
  static void lose(test::QuantizedModel& m, const std::string& suffix) {
    std::erase_if(m.tensors, [&](const auto& tensor) { return tensor.name == kModule + suffix; });
  }
  static void set(test::QuantizedModel& m, const std::string& suffix, const char* dtype, std::vector<std::uint64_t> shape) {
    test::StoredTensor& tensor = part(m, suffix);
    tensor.dtype = dtype;
    tensor.shape = std::move(shape);
    tensor.bytes.assign(test::sparse_tensor_bytes({"", dtype, tensor.shape}), '\0');
  }
  static void settings(test::QuantizedModel& m, const nlohmann::json& changed) {
    auto config = nlohmann::json::parse(m.config);
    config["quantization_config"].update(changed);
    m.config = config.dump();
  }
  test::TemporaryDirectory folder_;
};

TEST_F(QuantizedSources, PartsThatAreMissingAreNamed) {
  using Model = test::QuantizedModel;
  EXPECT_THAT(message("gptq", [](Model& m) { lose(m, ".scales"); }),
              HasSubstr("qweight' has no scales beside it; the format is gptq_int4_g32"));
  EXPECT_THAT(message("gptq", [](Model& m) { lose(m, ".qzeros"); }), HasSubstr("has no zero points beside it"));
  EXPECT_THAT(message("gptq", [](Model& m) { lose(m, ".qweight"); }), HasSubstr("is stored alone, without the quants of its weight"));
  EXPECT_THAT(message("gptq_act", [](Model& m) { lose(m, ".g_idx"); }), HasSubstr("has no index of its inputs' groups beside it"));
  EXPECT_THAT(message("fp8_block", [](Model& m) { lose(m, ".weight_scale_inv"); }), HasSubstr("has no scales beside it"));
  EXPECT_THAT(message("nvfp4", [](Model& m) { lose(m, ".weight_scale_2"); }), HasSubstr("has no scale of its scales beside it"));
  EXPECT_THAT(message("ct_int4_act", [](Model& m) { lose(m, ".weight_g_idx"); }), HasSubstr("has no index"));
  const auto in_order = sources("gptq", [](Model& m) { lose(m, ".g_idx"); });
  EXPECT_TRUE(in_order) << in_order.error().message; // inputs are in order, as the settings say
}

TEST_F(QuantizedSources, ShapesAndTypesThatDoNotFitAreNamed) {
  using Model = test::QuantizedModel;
  const auto set_to = [](const char* suffix, const char* dtype, std::vector<std::uint64_t> shape) {
    return [=](Model& m) { set(m, suffix, dtype, shape); };
  };
  EXPECT_THAT(message("gptq", set_to(".scales", "F16", {3, 128})),
              HasSubstr("is F16 [3, 128], expected F16 [2, 128] for a weight of 128 outputs and 64 inputs; the format is gptq_int4_g32"));
  EXPECT_THAT(message("gptq", set_to(".qzeros", "I32", {2, 17})), HasSubstr("is I32 [2, 17], expected I32 [2, 16]"));
  EXPECT_THAT(message("gptq", set_to(".g_idx", "I32", {63})), HasSubstr("is I32 [63], expected I32 [1, 64]"));
  EXPECT_THAT(message("gptq", set_to(".g_idx", "I64", {64})), HasSubstr("is I64 [64], a type that it cannot have"));
  EXPECT_THAT(message("gptq", set_to(".scales", "I32", {2, 128})), HasSubstr("a type that it cannot have"));
  EXPECT_THAT(message("gptq", set_to(".qweight", "F16", {8, 128})), HasSubstr("is F16 [8, 128]"));
  EXPECT_THAT(message("gptq", set_to(".qweight", "I32", {8, 129})), HasSubstr("'model.layers.0.mlp.up_proj.scales' is F16 [2, 128]"));
  EXPECT_THAT(message("gptq", set_to(".qweight", "I32", {7, 11})), HasSubstr("of which no outputs of 64 inputs can be made"));
  EXPECT_THAT(message("gptq", set_to(".qweight", "I32", {0, 128})), HasSubstr("of which no outputs"));
  EXPECT_THAT(message("awq", set_to(".qweight", "I32", {128, 8})), HasSubstr("is I32 [128, 8], expected I32 [64, 16]"));
  EXPECT_THAT(message("fp8_block", set_to(".weight", "F32", {128, 64})), HasSubstr("is F32 [128, 64]"));
  EXPECT_THAT(message("fp8_block", set_to(".weight", "I8", {128, 64})), HasSubstr("is I8 [128, 64]"));
  EXPECT_THAT(message("fp8_block", set_to(".weight_scale_inv", "F32", {2, 6})), HasSubstr("expected F32 [6, 2]"));
  EXPECT_THAT(message("ct_int4", set_to(".weight_shape", "I64", {3})), HasSubstr("is I64 [3], expected I64 [1, 2]"));
  EXPECT_THAT(message("ct_int4", set_to(".weight_shape", "F32", {2})), HasSubstr("a type that it cannot have"));
  EXPECT_THAT(message("nvfp4", set_to(".weight_scale_2", "F32", {2})), HasSubstr("expected F32 [1, 1]"));
  const auto group = sources("gptq", [](Model& m) { settings(m, {{"group_size", 16}}); });
  ASSERT_FALSE(group);
  EXPECT_THAT(group.error().message,
              HasSubstr("is F16 [4, 64], expected F16 [8, 64] for a weight of 64 outputs and 128 inputs; the format is "
                        "gptq_int4_g16")); // the first module by name
}

TEST_F(QuantizedSources, WhatStandsBesideAWeightForNoReasonIsRefused) {
  using Model = test::QuantizedModel;
  const auto add = [](const char* suffix, const char* dtype, std::vector<std::uint64_t> shape) {
    return [=](Model& m) {
      m.tensors.push_back({kModule + std::string(suffix), dtype, shape, std::string(test::sparse_tensor_bytes({"", dtype, shape}), '\0')});
    };
  };
  EXPECT_THAT(message("ct_int4", add(".weight_zero_point", "I32", {16, 2})), HasSubstr("is not expected beside its weight"));
  EXPECT_THAT(message("fp8_block", add(".weight_scale_2", "F32", {})), HasSubstr("is not expected beside its weight"));
  EXPECT_THAT(message("awq", add(".g_idx", "I32", {64})), HasSubstr("is not expected beside its weight"));
  EXPECT_THAT(message("fp8_block", add(".weight_scale", "F32", {6, 2})), HasSubstr("which is the same thing"));
  EXPECT_THAT(message("nvfp4", add(".pre_quant_scale", "F32", {64}), ErrorCode::kUnsupportedArchitecture),
              HasSubstr("nothing here knows what it does to a weight"));
  const auto of_inputs = sources("nvfp4", add(".input_scale", "F32", {}));
  EXPECT_TRUE(of_inputs) << of_inputs.error().message; // activations stay float32
  const auto left_alone = sources("fp8_block", [&](Model& m) {
    set(m, ".weight", "F32", {128, 64});
    lose(m, ".weight_scale_inv");
    add(".input_scale", "F32", {})(m);
  });
  EXPECT_TRUE(left_alone) << left_alone.error().message;
}

// Of a square matrix nobody could tell whether it was turned round.
TEST_F(QuantizedSources, InputsThatComeFirstAreRefused) {
  test::QuantizedModel model = test::quantize_tiny(test::quantizable_tiny("gpt_oss"), "mxfp4");
  settings(model, {{"quant_method", "fp8"}});
  const std::string name = "model.layers.0.mlp.experts.down_proj"; // four experts of 64 x 64
  std::erase_if(model.tensors, [&](const auto& tensor) { return tensor.name.starts_with(name + "_"); });
  model.tensors.push_back({name, "F8_E4M3", {4, 64, 64}, std::string(4 * 64 * 64, '\0')});
  model.tensors.push_back({name + "_weight_scale", "F32", {4}, std::string(16, '\0')});
  std::erase_if(model.tensors, [](const auto& tensor) { return tensor.name.ends_with("_blocks") || tensor.name.ends_with("_scales"); });
  test::write_quantized_folder(model, folder_.path());
  const auto found = test::sources_of(folder_.path());
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::kUnsupportedArchitecture);
  EXPECT_THAT(found.error().message, AllOf(HasSubstr(name), HasSubstr("its inputs come first, and nothing here unpacks fp8_tensor")));
}

TEST_F(QuantizedSources, WhatNothingUnpacksIsRefusedByName) {
  const auto refused = [&](const char* scheme, const nlohmann::json& changed) {
    const auto found = sources(scheme, [&](test::QuantizedModel& m) { settings(m, changed); });
    EXPECT_FALSE(found) << changed;
    if (found) return std::string();
    EXPECT_EQ(found.error().code, ErrorCode::kUnsupportedArchitecture);
    return found.error().message;
  };
  EXPECT_THAT(refused("gptq", {{"bits", 3}}), HasSubstr("nothing here unpacks weights that are stored as gptq_int3_g32"));
  EXPECT_THAT(refused("gptq", {{"checkpoint_format", "marlin"}}),
              HasSubstr("nothing here unpacks weights that are stored as gptq_int4_g32"));
  EXPECT_THAT(refused("gptq", {{"is_marlin_format", true}}), HasSubstr("nothing here unpacks"));
  EXPECT_THAT(refused("awq", {{"version", "gemv"}}), HasSubstr("nothing here unpacks weights that are stored as awq_int4_g32"));
  EXPECT_THAT(refused("awq", {{"zero_point", false}}), HasSubstr("nothing here unpacks"));
  EXPECT_THAT(refused("ct_int8", {{"quant_method", "eetq"}}),
              HasSubstr("nothing here unpacks weights that are stored as eetq_int8_channel"));
  EXPECT_THAT(refused("gptq", {{"quant_method", "fancy"}}), HasSubstr("is not loaded"));
}

TEST_F(WeightSourcesOf, GgufFilesThatNobodyCanReadRightAreRefused) {
  const std::string path = folder_ / "model.gguf";
  test::GgufWriter file;
  file.text("general.architecture", "bloom").u32("bloom.block_count", 1).u32("bloom.embedding_length", 8);
  file.u32("bloom.attention.head_count", 2).tensor("token_embd.weight", 0, {8, 4}, 128).write(path);
  const auto found = test::sources_of(path);
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error().message, HasSubstr("`orders`"));
}

} // namespace
} // namespace plimsoll
