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

namespace plimsoll {
namespace {

using test::TinyModel;
using test::TinyTensor;
using ::testing::AllOf;
using ::testing::HasSubstr;

// Of hybrids nobody says yet how their tensors are stored; of the others no file is written.
const std::set<std::string> kNotFromGguf{"granite_hybrid", "qwen3_next", "exaone4",      "olmo3", "smollm3",   "glm4",
                                         "cohere2",        "minimax_m2", "qwen3_vl_moe", "phi",   "starcoder2"};

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

TEST_F(WeightSourcesOf, QuantisedModelsAreRefused) {
  auto config = nlohmann::json::parse(test::tiny_model("llama").config);
  config["quantization_config"] = {{"quant_method", "fp8"}, {"weight_block_size", {128, 128}}};
  const Error found = error(test::tiny_model("llama"), [&](TinyModel& m) { m.config = config.dump(); });
  EXPECT_EQ(found.code, ErrorCode::kUnsupportedArchitecture);
  EXPECT_THAT(found.message, HasSubstr("part of a quantised weight"));
}

TEST_F(WeightSourcesOf, GgufFilesThatNobodyCanReadRightAreRefused) {
  const auto message = [&](const char* name) {
    const std::string path = folder_ / "model.gguf";
    test::write_tiny_gguf(test::tiny_model(name), path);
    const auto found = test::sources_of(path);
    EXPECT_FALSE(found) << name;
    return found ? std::string() : found.error().message;
  };
  EXPECT_THAT(message("granite_hybrid"), HasSubstr("`orders`"));
}

} // namespace
} // namespace plimsoll
