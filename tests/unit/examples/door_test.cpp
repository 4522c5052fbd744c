// Strangers at the door: folders and manifests that are refused, shadowed, or asked to replace what is built in, and that nothing of what
// is refused changes an answer. Folders are made here; their libraries are the SDK's example in C and the zoo's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <sys/stat.h>

#include "plimsoll/host.hpp"
#include "plugin/registry.hpp"
#include "unit/examples/built.hpp"
#include "unit/plugin/temporary_folder.hpp"

namespace plimsoll::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::HasSubstr;

const std::string kLatent = kBuilt + "examples/com.acme.latent/libplimsoll_com.acme.latent.so";

ContextOptions options_with(const std::vector<std::string>& paths) {
  ContextOptions options;
  options.catalogue_path = PLIMSOLL_SOURCE_DIR "/core/catalogue";
  options.plugin_paths = paths;
  return options;
}

// The example in C under a manifest of ours: `head` after the vendor, `family` at the end.
std::string manifest_of_latent(const std::string& family, const std::string& head = "") {
  return "schema: plimsoll.plugin/1\nid: com.acme.latent\nversion: 1.0.0\nvendor: Acme\n" + head +
         "abi: {major: 1, minor: 0, min_host_minor: 0}\nlibrary: liblatent.so\ntypes: {acme_lat5: {block: 64, bytes: 42}}\n"
         "formats: {acme_q3: {bits_per_element: 3, block: 128, scales: [{type: float16, inputs: 128}]}}\nfamilies:\n  - id: "
         "com.acme.latent\n"
         "    aspects: [embedding, attention, head]\n    signal_buffers: never\n" +
         family;
}
void write_latent(const TemporaryFolder& folder, const std::string& place, const std::string& manifest) {
  folder.write(place + "/plugin.yaml", manifest);
  fs::copy_file(kLatent, folder.path(place + "/liblatent.so"));
}

const PluginInfo* find(const std::vector<PluginInfo>& plugins, const std::string& id, const std::string& vendor) {
  for (const PluginInfo& plugin : plugins)
    if (plugin.id == id && plugin.vendor == vendor) return &plugin;
  return nullptr;
}

// What a hostile or careless folder says of models that are built in.
const std::string kGreed = "    architectures: [LlamaForCausalLM, Qwen3ForCausalLM, DeepseekV3ForCausalLM, StrangerForCausalLM]\n"
                           "    model_types: [llama, qwen3, deepseek_v3]\n    never_quantized: [q_proj]\n    fusions: {q_proj: [a, b]}\n"
                           "    class_defaults: {llama: {head_dim: 1, sliding_window: 128}, qwen3: {head_dim: 1}}\n";

struct Refused {
  const char* name;
  std::string says;
  std::function<void(const TemporaryFolder&)> make; // the folder "bad/one"
};

std::string changed(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}
void grant(const TemporaryFolder& folder, const std::string& name, mode_t mode) { ::chmod(folder.path(name).c_str(), mode); }

std::vector<Refused> refused_folders() {
  const std::string greedy = manifest_of_latent(kGreed);
  const auto with = [](const std::string& manifest) {
    return [manifest](const TemporaryFolder& folder) { write_latent(folder, "bad/one", manifest); };
  };
  const auto then = [greedy](std::function<void(const TemporaryFolder&)> more) {
    return [=](const TemporaryFolder& folder) {
      write_latent(folder, "bad/one", greedy);
      more(folder);
    };
  };
  const std::string models = manifest_of_latent("    models: models.json\n");
  return {
      {"another ABI", "was made for ABI 9.0", with(changed(greedy, "major: 1", "major: 9"))},
      {"a newer host", "needs a host of 1.7", with(changed(greedy, "min_host_minor: 0", "min_host_minor: 7"))},
      {"no library", "liblatent.so", [=](const TemporaryFolder& f) { f.write("bad/one/plugin.yaml", greedy); }},
      {"a library elsewhere", "leads out of the plugin's folder",
       [=](const TemporaryFolder& f) {
         f.write("bad/one/plugin.yaml", greedy);
         fs::create_symlink(kLatent, f.path("bad/one/liblatent.so"));
       }},
      {"a path for a library", "/library", with(changed(greedy, "liblatent.so", "../liblatent.so"))},
      {"a library that all may write", "may be written by others",
       then([](const TemporaryFolder& f) { grant(f, "bad/one/liblatent.so", 0666); })},
      {"a manifest that all may write", "may be written by others",
       then([](const TemporaryFolder& f) { grant(f, "bad/one/plugin.yaml", 0666); })},
      {"a folder that all may write", "may be written by others", then([](const TemporaryFolder& f) { grant(f, "bad/one", 0777); })},
      {"a folder above that all may write", "may be written by others", then([](const TemporaryFolder& f) { grant(f, "bad", 0777); })},
      {"a manifest elsewhere", "leads out of the plugin's folder",
       [=](const TemporaryFolder& f) {
         write_latent(f, "bad/one", greedy);
         f.write("open/plugin.yaml", greedy);
         fs::remove(f.path("bad/one/plugin.yaml"));
         fs::create_symlink(f.path("open/plugin.yaml"), f.path("bad/one/plugin.yaml"));
       }},
      {"a folder elsewhere", "may be written by others",
       [=](const TemporaryFolder& f) {
         write_latent(f, "open/one", greedy);
         grant(f, "open", 0777);
         fs::create_directory(f.path("bad"));
         fs::create_directory_symlink(f.path("open/one"), f.path("bad/one"));
       }},
      {"names that all may write", "models.json",
       [=](const TemporaryFolder& f) {
         write_latent(f, "bad/one", models);
         f.write("bad/one/models.json", R"({"architectures": ["LlamaForCausalLM"]})");
         grant(f, "bad/one/models.json", 0666);
       }},
      {"names elsewhere", "leads out of the plugin's folder",
       [=](const TemporaryFolder& f) {
         write_latent(f, "bad/one", models);
         f.write("open/models.json", R"({"architectures": ["LlamaForCausalLM"]})");
         fs::create_symlink(f.path("open/models.json"), f.path("bad/one/models.json"));
       }},
      {"GGUF words that all may write", "gguf.json",
       [=](const TemporaryFolder& f) {
         write_latent(f, "bad/one", manifest_of_latent(kGreed + "    gguf: gguf.json\n"));
         f.write("bad/one/gguf.json", "{}");
         grant(f, "bad/one/gguf.json", 0622);
       }},
      {"GGUF words that are not there", "is not there", with(manifest_of_latent(kGreed + "    gguf: gguf.json\n"))},
      {"a misspelt key", "did you mean library?", with(changed(greedy, "library:", "librari:"))},
      {"a version that is none", "a semantic version was expected", with(changed(greedy, "1.0.0", "banana"))},
      {"a key twice", "appears twice", with(greedy + "id: other\n")},
      {"a manifest of 2 MB", "plugin.yaml", with(greedy + "#" + std::string(2 << 20, ' ') + "\n")},
      {"a pipe for a manifest", "plugin.yaml",
       [=](const TemporaryFolder& f) {
         write_latent(f, "bad/one", greedy);
         fs::remove(f.path("bad/one/plugin.yaml"));
         ::mkfifo(f.path("bad/one/plugin.yaml").c_str(), 0600);
       }},
  };
}

TEST(Door, WhatIsRefusedIsAnErrorWhereItWasAskedFor) {
  for (const Refused& c : refused_folders()) {
    const TemporaryFolder folder;
    c.make(folder);
    ContextOptions options = options_with({folder.path("bad")});
    const auto context = Context::create(options);
    ASSERT_FALSE(context) << c.name;
    EXPECT_EQ(context.error().code, ErrorCode::kPluginFailed) << c.name;
    EXPECT_THAT(context.error().message, HasSubstr(c.says)) << c.name;
    EXPECT_THAT(context.error().where, HasSubstr(folder.path("bad"))) << c.name;
    options.list_refused = true;
    const auto lists = Context::create(options);
    ASSERT_TRUE(lists) << c.name;
    std::vector<std::string> reasons;
    for (const PluginInfo& plugin : lists->plugins())
      if (plugin.status == PluginStatus::kRefused) {
        reasons.push_back(plugin.reason);
        EXPECT_TRUE(plugin.architectures.empty() && plugin.model_types.empty()) << c.name;
      }
    EXPECT_EQ(reasons.size(), 1U) << c.name;
    EXPECT_THAT(reasons, Contains(HasSubstr(c.says))) << c.name;
    const auto inspected = lists->inspect_plugin(folder.path("bad/one"));
    ASSERT_FALSE(inspected) << c.name;
    EXPECT_THAT(inspected.error().message, HasSubstr(c.says)) << c.name;
  }
}

// The documents of models of every built-in family, all in one text.
std::string answers(const Context& context) {
  std::string out;
  const auto models = context.models("");
  if (!models) return models.error().message;
  std::size_t planned = 0;
  for (std::size_t i = 0; i < models->size(); i += std::max<std::size_t>(1, models->size() / 24)) {
    const auto model = context.load((*models)[i].name);
    if (!model) return (*models)[i].name + model.error().message;
    PlanRequest request;
    request.devices = "8xH200";
    request.advise = false; // a command to come here again tells how its context was made
    const auto plan = context.plan(*model, request);
    out += plan ? plan_to_json(*plan) : plan.error().message;
    ++planned;
  }
  EXPECT_GE(planned, 20U);
  return out;
}

TEST(Door, WhatIsRefusedChangesNoAnswer) {
  const auto clean = Context::create(options_with({}));
  ASSERT_TRUE(clean) << clean.error().message;
  const std::string expected = answers(*clean);
  // All bad folders at once, in every place where one may search, and beside a good plugin of the same path.
  const TemporaryFolder all;
  int number = 0;
  std::vector<std::unique_ptr<TemporaryFolder>> made;
  for (const Refused& c : refused_folders()) {
    made.push_back(std::make_unique<TemporaryFolder>());
    c.make(*made.back());
    fs::create_directories(all.path("data/plimsoll/plugins"));
    const std::string name = "bad" + std::to_string(number++);
    for (const char* place : {"data/plimsoll/plugins/", "given/", "environment/"}) {
      fs::create_directories(all.path(place));
      fs::create_directory_symlink(made.back()->path("bad/one"), all.path(place + name));
    }
  }
  const std::string plain = "    architectures: [StrangerForCausalLM]\n    class_defaults: {llama: {head_dim: 1}, qwen3: {head_dim: 1}}\n"
                            "    never_quantized: [q_proj]\n";
  write_latent(all, "given/good", manifest_of_latent(plain));
  ::setenv("PLIMSOLL_PLUGIN_PATH", all.path("environment").c_str(), 1);
  ::setenv("XDG_DATA_HOME", all.path("data").c_str(), 1);
  const auto context = Context::create(options_with({all.path("given")}));
  ::unsetenv("PLIMSOLL_PLUGIN_PATH");
  ::unsetenv("XDG_DATA_HOME");
  ASSERT_TRUE(context) << context.error().where << context.error().message;
  EXPECT_EQ(answers(*context), expected);
  const std::vector<PluginInfo> plugins = context->plugins();
  const auto refused =
      std::count_if(plugins.begin(), plugins.end(), [](const PluginInfo& plugin) { return plugin.status == PluginStatus::kRefused; });
  EXPECT_EQ(static_cast<std::size_t>(refused), refused_folders().size()); // each once, in however many places
}

TEST(Door, APathMustLeadToAPlugin) {
  const TemporaryFolder folder;
  folder.write("empty/readme", "");
  folder.write("file", "");
  const std::pair<std::string, const char*> cases[] = {{folder.path("missing"), "there is no such folder"},
                                                       {folder.path("file"), "is no folder"},
                                                       {kLatent, "is no folder"},
                                                       {folder.path("empty"), "holds no plugin"}};
  for (const auto& [path, says] : cases) {
    ContextOptions options = options_with({path});
    for (const bool list_refused : {false, true}) {
      options.list_refused = list_refused;
      const auto context = Context::create(options);
      ASSERT_FALSE(context) << path;
      EXPECT_EQ(context.error().code, ErrorCode::kBadRequest) << path;
      EXPECT_THAT(context.error().message, HasSubstr(says));
      EXPECT_EQ(context.error().where, "plugin path " + path);
    }
  }
}

constexpr const char* kLlama =
    R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "intermediate_size": 128,
  "num_attention_heads": 4, "vocab_size": 1000, "num_hidden_layers": 2, "max_position_embeddings": 512})";

TEST(Door, ReplacingTakesTheManifestAndTheHost) {
  struct Case {
    const char* head;
    std::vector<std::string> prefer;
    const char* family; // of a Llama
  };
  const Case cases[] = {
      {"", {}, "dense"},
      {"replaces: [LlamaForCausalLM]\n", {}, "dense"},
      {"replaces: [LlamaForCausalLM]\n", {"com.acme.latent"}, "com.acme.latent"},
      {"replaces: [dense]\n", {"com.acme.latent"}, "com.acme.latent"},
      {"replaces: [moe, Qwen3ForCausalLM]\n", {"com.acme.latent"}, "dense"},
  };
  for (const Case& c : cases) {
    const TemporaryFolder folder;
    write_latent(
        folder, "one",
        manifest_of_latent(
            "    architectures: [AcmeLatentForCausalLM, LlamaForCausalLM]\n    class_defaults: {llama: {kv_lora_rank: 64}}\n", c.head));
    ContextOptions options = options_with({folder.path()});
    options.prefer = c.prefer;
    const auto context = Context::create(options);
    ASSERT_TRUE(context) << context.error().message;
    const auto model = context->load_config(kLlama, "llama");
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_EQ(model->info().family, c.family) << c.head;
    const bool replaced = std::string_view(c.family) != "dense";
    PlanRequest request;
    request.devices = "1x1GiB";
    const auto plan = context->plan(*model, request);
    ASSERT_TRUE(plan) << plan.error().message;
    std::vector<std::string> said;
    for (const Warning& warning : plan->warnings)
      if (warning.code == WarningCode::kPluginReplaces) said.push_back(warning.message);
    EXPECT_EQ(said.size(), replaced ? 1U : 0U) << c.head;
    EXPECT_EQ(plan->model.planners.at(0).replaces, replaced ? "dense" : "");
    const std::vector<PluginInfo> plugins = context->plugins();
    const PluginInfo& listed = *find(plugins, "com.acme.latent", "Acme");
    EXPECT_EQ(listed.status, PluginStatus::kAvailable);
    ASSERT_EQ(listed.shadowed.size(), replaced ? 0U : 1U) << c.head;
    if (replaced) {
      EXPECT_THAT(said.front(), HasSubstr("com.acme.latent 1.0.0"));
      EXPECT_THAT(said.front(), HasSubstr("built-in dense"));
      EXPECT_THAT(plan_to_json(*plan), HasSubstr("\"code\": \"plugin_replaces\""));
      EXPECT_THAT(plan_to_json(*plan), HasSubstr("\"replaces\": \"dense\""));
    } else {
      EXPECT_EQ(listed.shadowed.front().name, "LlamaForCausalLM");
      EXPECT_EQ(listed.shadowed.front().by, "dense");
      EXPECT_THAT(listed.shadowed.front().reason, HasSubstr("--prefer com.acme.latent"));
    }
    // What it does not replace is as ever.
    EXPECT_EQ(context->load("Qwen/Qwen3-8B")->info().family, "dense");
  }
}

TEST(Door, AnIdThatIsBuiltInStaysUnlessItIsReplaced) {
  const TemporaryFolder folder;
  const std::string own = changed(good_manifest("dense"), "denseForCausalLM", "StrangerForCausalLM");
  write_plugin(folder, "plain/dense", own);
  write_plugin(folder, "asks/dense", changed(own, "vendor: tests\n", "vendor: tests\nreplaces: [dense]\n"));
  for (const char* place : {"plain", "asks"}) {
    const auto context = Context::create(options_with({folder.path(place)}));
    ASSERT_TRUE(context) << context.error().message;
    EXPECT_TRUE(context->load_config(kLlama, "llama"));
    const std::vector<PluginInfo> plugins = context->plugins();
    EXPECT_EQ(find(plugins, "dense", "tests")->status, PluginStatus::kShadowed);
    EXPECT_THAT(find(plugins, "dense", "tests")->reason, HasSubstr("--prefer dense"));
    EXPECT_EQ(find(plugins, "dense", "Plimsoll")->status, PluginStatus::kAvailable);
  }
  ContextOptions options = options_with({folder.path("asks")});
  options.prefer = {"dense"};
  const auto context = Context::create(options);
  ASSERT_TRUE(context) << context.error().message;
  const std::vector<PluginInfo> plugins = context->plugins();
  EXPECT_EQ(find(plugins, "dense", "tests")->status, PluginStatus::kAvailable);
  EXPECT_EQ(find(plugins, "dense", "Plimsoll")->status, PluginStatus::kShadowed);
  const auto gone = context->load_config(kLlama, "llama"); // replaced whole: what it does not offer is gone too
  ASSERT_FALSE(gone);
}

TEST(Door, PreferringNamesAPluginThatReplaces) {
  const TemporaryFolder folder;
  write_latent(folder, "one", manifest_of_latent("    architectures: [AcmeLatentForCausalLM]\n"));
  write_plugin(folder, "two", changed(good_manifest("com.broken", "1.0.0"), "major: 1", "major: 3"));
  const std::tuple<const char*, ErrorCode, const char*> cases[] = {
      {"com.nobody", ErrorCode::kBadRequest, "no plugin of this id is found"},
      {"dense", ErrorCode::kBadRequest, "is built in"},
      {"com.acme.latent", ErrorCode::kBadRequest, "replaces nothing"},
      {"com.broken", ErrorCode::kPluginFailed, "was made for ABI 3.0"},
  };
  for (const auto& [id, code, says] : cases) {
    ContextOptions options = options_with({folder.path()});
    options.prefer = {id};
    const auto context = Context::create(options);
    ASSERT_FALSE(context) << id;
    EXPECT_EQ(context.error().code, code) << id;
    EXPECT_THAT(context.error().message, HasSubstr(says));
    EXPECT_EQ(context.error().where, std::string("prefer ") + id);
  }
}

// Class defaults of a stranger answer for what it plans, and for nothing else.
TEST(Door, ClassDefaultsStayWithTheirPlanner) {
  const std::string family =
      "    architectures: [AcmeLatentForCausalLM]\n    class_defaults:\n"
      "      llama: {num_key_value_heads: 1}\n      own: {vocab_size: 1000, num_hidden_layers: 2, kv_lora_rank: 64}\n";
  const TemporaryFolder folder;
  write_latent(folder, "one", manifest_of_latent(family));
  const auto with = Context::create(options_with({folder.path()})), without = Context::create(options_with({}));
  ASSERT_TRUE(with && without);
  EXPECT_EQ(with->load_config(kLlama, "llama")->info().parameters, without->load_config(kLlama, "llama")->info().parameters);
  const auto own = with->load_config(R"({"architectures": ["AcmeLatentForCausalLM"], "model_type": "own", "hidden_size": 64,
    "num_attention_heads": 4, "max_position_embeddings": 512})",
                                     "own");
  ASSERT_TRUE(own) << own.error().where << own.error().message;
  EXPECT_EQ(own->info().parameters, 2U * 1000 * 64 + 2U * (4 * 64 + 64 + 4 * 64) * 64);
}

} // namespace
} // namespace plimsoll::testing
