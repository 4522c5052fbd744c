// `plimsoll plugins` as a vendor uses it: what a build takes of a manifest, what is shown of one, and a plugin without code.
#include <chrono>
#include <filesystem>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "cli/program.hpp"

namespace plimsoll::cli_test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Json = nlohmann::ordered_json;

constexpr const char* kManifest = R"(schema: plimsoll.plugin/1
id: com.acme.many
version: 1.2.0
vendor: Acme
abi: {major: 1, minor: 0, min_host_minor: 0}
library: libmany.so
replaces: [dense]
aliases: {acme_old: llama, AcmeOldForCausalLM: llama}
types:
  acme_lat5: {block: 64, bytes: 42}
formats:
  acme_q3: {bits_per_element: 3, block: 128, scales: [{type: float16, inputs: 128}]}
families:
  - id: com.acme.text
    aspects: [attention, ffn]
    signal_buffers: always
    signal_sites: 3
    signal_bytes: 4096
    architectures: [AcmeForCausalLM]
    model_types: [acme]
    class_defaults: {acme: {num_hidden_layers: 4}}
    never_quantized: [router]
    draft_modules: [mtp.]
    draft_joins: [eh_proj]
    fusions: {qkv_proj: [q_proj, k_proj, v_proj]}
  - {id: com.acme.vision, aspects: [vision], signal_buffers: never}
)";

// A plugin's folder below the scratch folder. Its library, where one is named, is none: nothing here opens it.
std::string plugin_folder(const std::string& name, const std::string& manifest) {
  std::filesystem::create_directories(scratch_folder() + "/" + name);
  write_scratch(name + "/plugin.yaml", manifest);
  write_scratch(name + "/libmany.so", "");
  return scratch_folder() + "/" + name;
}

TEST(CliIdentity, IsTheHeaderThatABuildIncludes) {
  const std::string folder = plugin_folder("many", kManifest);
  const Outcome outcome = run({"plugins", "identity", folder});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, StartsWith("/* Made from plugin.yaml of com.acme.many 1.2.0; do not edit. */\n"));
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("#define PLIMSOLL_IDENTITY_N_FAMILIES 2\n"), HasSubstr("6u, 2u, 3u, 4096u, PLIMSOLL_STR(\"com.acme.text\")"),
                    HasSubstr("16u, 0u, 1u, 0u, PLIMSOLL_STR(\"com.acme.vision\")")));
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(run({"plugins", "identity", folder + "/plugin.yaml"}).out, outcome.out);
  EXPECT_THAT(run({"--help"}).out, HasSubstr("identity DIR"));
}

// Builds compile again whatever includes a file that is newer.
TEST(CliIdentity, WritesAFileOnlyWhereItChanges) {
  const std::string folder = plugin_folder("written", kManifest);
  const std::string file = scratch_folder() + "/written/identity.txt";
  const auto write = [&] { return run({"plugins", "identity", folder, "-o", file}); };
  const Outcome first = write();
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(first.out, "");
  const std::string header = read_text(file);
  EXPECT_EQ(header, run({"plugins", "identity", folder}).out);

  const auto before = std::filesystem::last_write_time(file) - std::chrono::hours(1);
  std::filesystem::last_write_time(file, before);
  EXPECT_EQ(write().code, 0);
  EXPECT_EQ(std::filesystem::last_write_time(file), before);

  std::string newer = kManifest;
  plugin_folder("written", newer.replace(newer.find("1.2.0"), 5, "1.2.1"));
  EXPECT_EQ(write().code, 0);
  EXPECT_THAT(read_text(file), HasSubstr("PLIMSOLL_IDENTITY_VERSION \"1.2.1\""));
  EXPECT_NE(std::filesystem::last_write_time(file), before);
}

TEST(CliIdentity, IsRefusedWithWhatIsWrong) {
  std::string wrong = kManifest;
  const std::string misspelt = plugin_folder("misspelt", wrong.replace(wrong.find("vendor"), 6, "vendro"));
  const std::string nameless = plugin_folder("names", "schema: plimsoll.plugin/1\nid: names\nversion: 1.0.0\nvendor: A\naliases: {a: b}\n");
  struct Row {
    std::vector<std::string> arguments;
    int code;
    const char* says;
  };
  for (const Row& row : {Row{{misspelt}, 3, "an unknown key; did you mean vendor? ("},
                         {{nameless}, 2, "a plugin without code has no library"},
                         {{scratch_folder() + "/nowhere"}, 2, "there is no such file or folder"},
                         {{scratch_folder()}, 2, "holds no plugin.yaml"},
                         {{}, 2, "no folder; give one"},
                         {{misspelt, "--format", "json"}, 2, "identity prints a C header and no document"}}) {
    Invocation invocation;
    invocation.arguments = {"plugins", "identity"};
    invocation.arguments.insert(invocation.arguments.end(), row.arguments.begin(), row.arguments.end());
    const Outcome outcome = run(invocation);
    EXPECT_EQ(outcome.code, row.code) << row.says;
    EXPECT_THAT(outcome.err + outcome.out, HasSubstr(row.says));
    EXPECT_THAT(outcome.out, Not(HasSubstr("#define")));
  }
  EXPECT_THAT(run({"plugins", "identity", misspelt}).err, HasSubstr("misspelt/plugin.yaml: /vendro)"));
  // A file that is there is left as it is.
  const std::string file = write_scratch("misspelt/identity.txt", "mine");
  EXPECT_EQ(run({"plugins", "identity", misspelt, "-o", file}).code, 3);
  EXPECT_EQ(read_text(file), "mine");
}

TEST(CliPlugins, ShowsAllThatAManifestSays) {
  const std::string folder = plugin_folder("shown", kManifest);
  const Outcome outcome = run({"plugins", "--plugin-path", folder, "--trust", "open", "--format", "json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const Json plugin = Json::parse(outcome.out)["plugins"][0];
  EXPECT_EQ(plugin["id"], "com.acme.many");
  EXPECT_EQ(plugin["library"], "libmany.so");
  EXPECT_EQ(plugin["abi"].dump(), R"({"major":1,"minor":0,"min_host_minor":0})");
  EXPECT_EQ(plugin["aliases"].dump(), R"({"AcmeOldForCausalLM":"llama","acme_old":"llama"})");
  EXPECT_EQ(plugin["replaces"].dump(), R"(["dense"])");
  EXPECT_EQ(plugin["types"].dump(), R"([{"name":"acme_lat5","block":64,"bytes":42}])");
  EXPECT_EQ(plugin["formats"].dump(), R"([{"name":"acme_q3","bits_per_element":3,"tensors":["weight uint8","weight_scale float16"]}])");
  ASSERT_EQ(plugin["family_details"].size(), 2U);
  EXPECT_EQ(plugin["family_details"][0].dump(),
            R"({"id":"com.acme.text","aspects":["attention","ffn"],"signal_buffers":"always","signal_sites":3,"signal_bytes":4096,)"
            R"("architectures":["AcmeForCausalLM"],"model_types":["acme"],"class_defaults":1,"never_quantized":["router"],)"
            R"("draft_modules":["mtp."],"draft_joins":["eh_proj"],"fusions":["qkv_proj"],"models":null,"gguf":null})");
  EXPECT_EQ(plugin["family_details"][1]["signal_buffers"], "never");
}

TEST(CliPlugins, InspectShowsEveryFamily) {
  const Outcome dense = run({"plugins", "inspect", PLIMSOLL_BUILD_DIR "/lib/plimsoll/plugins/dense", "--trust", "open"});
  ASSERT_EQ(dense.code, 0) << dense.err;
  EXPECT_THAT(dense.out, AllOf(HasSubstr("state           loaded\n"), HasSubstr("library         libplimsoll_dense.so\n"),
                               HasSubstr("\nFamily dense\n"), HasSubstr("signal buffers  multi_rank, 1 site of the engine's bytes\n"),
                               HasSubstr("models          models.json\n"), HasSubstr("gguf            gguf.json\n")));
}

// Names and nothing else: somebody else's planner, in the dialect of what they stand for.
TEST(CliPlugins, AreAliasesWithoutCode) {
  const std::string names = plugin_folder(
      "alias",
      "schema: plimsoll.plugin/1\nid: com.acme.names\nversion: 1.0.0\nvendor: Acme\naliases: {AcmeForCausalLM: llama, acme: llama}\n");
  std::string config = read_text(data_path("llama") + "/config.json");
  config.replace(config.find("LlamaForCausalLM"), 16, "AcmeForCausalLM");
  config.replace(config.find("\"llama\""), 7, "\"acme\"");
  std::filesystem::create_directories(scratch_folder() + "/acme");
  write_scratch("acme/config.json", config);
  const std::string model = scratch_folder() + "/acme";
  const auto plan = [](const std::string& path, std::vector<std::string> more) {
    std::vector<std::string> arguments{"plan", path, "--devices", "80GiB", "--format", "json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(std::move(arguments));
  };
  const Outcome stranger = plan(model, {});
  EXPECT_EQ(stranger.code, 2);
  EXPECT_EQ(Json::parse(stranger.out)["error"]["code"], "unsupported_architecture") << stranger.out;

  const Outcome planned = plan(model, {"--plugin-path", names, "--trust", "open"});
  ASSERT_EQ(planned.code, 0) << planned.err << planned.out;
  const Json document = Json::parse(planned.out), llama = Json::parse(plan(data_path("llama"), {}).out);
  const Json& planner = document["model"]["planners"][0];
  EXPECT_EQ(planner["id"], "dense");
  EXPECT_EQ(planner["as"], "llama");
  EXPECT_EQ(planner["aliased_by"], "com.acme.names");
  EXPECT_FALSE(llama["model"]["planners"][0].contains("as"));
  EXPECT_EQ(document["devices"], llama["devices"]);
  EXPECT_EQ(document["limits"], llama["limits"]);

  // The vendor's own export of it: every linear layer but the head in a format of the manifest's. Llama-like shapes of the test's model.
  const std::string formats = plugin_folder("alias_formats", read_text(names + "/plugin.yaml") +
                                                                 "formats: {acme_q8: {bits_per_element: 8, scales: [{type: float16}]}}\n");
  config.replace(config.rfind('}'), 1, R"(, "quantization_config": {"quant_method": "acme_q8"}})");
  std::filesystem::create_directories(scratch_folder() + "/acme_q8");
  write_scratch("acme_q8/config.json", config);
  EXPECT_EQ(plan(scratch_folder() + "/acme_q8", {"--plugin-path", names, "--trust", "open"}).code, 2); // nobody's method
  const Outcome exported = plan(scratch_folder() + "/acme_q8", {"--plugin-path", formats, "--trust", "open"});
  ASSERT_EQ(exported.code, 0) << exported.err << exported.out;
  const Json full = Json::parse(planned.out), small = Json::parse(exported.out);
  const auto bytes = [](const Json& plan_document, const std::string& label) {
    for (const Json& item : plan_document["items"])
      if (item["label"] == label) return item["bytes"].get<std::uint64_t>();
    return std::uint64_t{0};
  };
  const std::uint64_t layers = Json::parse(config)["num_hidden_layers"], hidden = Json::parse(config)["hidden_size"];
  EXPECT_EQ(bytes(small, "attention.o_proj"), bytes(full, "attention.o_proj") / 2 + layers * hidden * 2); // a float16 for each output
  EXPECT_EQ(bytes(small, "embedding"), bytes(full, "embedding"));

  const Outcome inspected = run({"plugins", "inspect", names, "--trust", "open"});
  EXPECT_EQ(inspected.code, 0);
  EXPECT_THAT(inspected.out, AllOf(HasSubstr("library         none: a plugin without code\n"),
                                   HasSubstr("aliases         AcmeForCausalLM as llama, acme as llama\n")));
}

} // namespace
} // namespace plimsoll::cli_test
