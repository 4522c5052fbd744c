// plugin.yaml: what is read, and what is refused with the key at fault.
#include <gmock/gmock.h>

#include "plimsoll/abi.h"
#include "plugin/manifest.hpp"
#include "unit/plugin/temporary_folder.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

constexpr const char* kGood = R"(schema: plimsoll.plugin/1
id: good
version: 1.2.3
vendor: Acme
abi: {major: 1, minor: 4, min_host_minor: 2}
library: libgood.so
families:
  - id: good.family
    aspects: [attention, head]
    signal_buffers: always
    architectures:
      - OneForCausalLM
      - {name: TwoForCausalLM, signal_buffers: never}
    model_types: [one, two]
    class_defaults:
      one: {hidden_size: 64, nested: {deep: 3}}
    never_quantized: [gate, patch_embed.proj]
    draft_modules: [mtp.]
    draft_joins: [eh_proj]
    fusions: {qkv_proj: [q_proj, k_proj, v_proj]}
    gguf: gguf.json
    signal_sites: 3
    signal_bytes: 65536
aliases: {nimbus_text: qwen3, NimbusForCausalLM: qwen3}
types: {acme_lat5: {block: 64, bytes: 42}}
formats: {acme_q3: {bits_per_element: 3, block: 128, scales: [{type: acme_lat5, inputs: 128}]}}
)";

TEST(Manifest, IsReadWhole) {
  const TemporaryFolder folder;
  folder.write("plugin.yaml", kGood);
  const auto m = read_manifest(folder.path());
  ASSERT_TRUE(m) << m.error().where << ": " << m.error().message;
  EXPECT_EQ(m->directory, folder.path());
  EXPECT_EQ(m->id, "good");
  EXPECT_EQ(m->version, "1.2.3");
  EXPECT_EQ(m->library, "libgood.so");
  EXPECT_EQ(m->abi_major, 1U);
  EXPECT_EQ(m->abi_minor, 4U);
  EXPECT_EQ(m->min_host_minor, 2U);
  ASSERT_EQ(m->families.size(), 1U);
  const FamilyManifest& f = m->families.front();
  EXPECT_EQ(f.aspects, static_cast<std::uint32_t>(PLIMSOLL_ASPECT_ATTENTION | PLIMSOLL_ASPECT_HEAD));
  EXPECT_EQ(f.names().architectures.at("OneForCausalLM"), static_cast<std::uint32_t>(PLIMSOLL_SIGNAL_ALWAYS)); // the family's
  EXPECT_EQ(f.names().architectures.at("TwoForCausalLM"), static_cast<std::uint32_t>(PLIMSOLL_SIGNAL_NEVER));  // its own
  EXPECT_THAT(f.names().model_types, ElementsAre("one", "two"));
  EXPECT_EQ(f.names().class_defaults.at("one").get()["nested"]["deep"], 3);
  EXPECT_THAT(f.names().modules.never_quantized, ElementsAre("gate", "patch_embed.proj"));
  EXPECT_THAT(f.names().modules.draft_modules, ElementsAre("mtp."));
  EXPECT_THAT(f.names().modules.draft_joins, ElementsAre("eh_proj"));
  EXPECT_THAT(f.names().fusions.at("qkv_proj"), ElementsAre("q_proj", "k_proj", "v_proj"));
  EXPECT_EQ(f.gguf_file, "gguf.json"); // not read before a GGUF file is opened
  EXPECT_EQ(f.signal_sites, 3U);
  EXPECT_EQ(f.signal_bytes, 65536U);
  EXPECT_EQ(f.names().class_defaults.size(), 1U);
  EXPECT_THAT(m->aliases, ElementsAre(Pair("NimbusForCausalLM", "qwen3"), Pair("nimbus_text", "qwen3")));
  ASSERT_NE(m->formats->find_type("acme_lat5"), nullptr);
  EXPECT_EQ(m->formats->find_type("acme_lat5")->block_bytes, 42U);
  ASSERT_NE(m->formats->find_format("acme_q3"), nullptr);
  EXPECT_EQ(m->formats->find_format("acme_q3")->weight_bits(), 3U);
}

// One line of the good manifest replaced; the error must name the file and the key.
struct Broken {
  const char* line;
  const char* instead;
  const char* message;
  const char* pointer; // nullptr: the file alone
};

TEST(Manifest, IsRefusedWithTheKeyAtFault) {
  const std::vector<Broken> cases{
      {"schema: plimsoll.plugin/1", "schema: plimsoll.plugin/2", "'plimsoll.plugin/1' was expected", "/schema"},
      {"schema: plimsoll.plugin/1\n", "", "a non-empty text was expected", "/schema"},
      {"id: good\n", "id: [a, b]\n", "a non-empty text was expected", "/id"},
      {"id: good\n", "", "a non-empty text was expected", "/id"},
      {"id: good\n", "id: good\nid: good\n", "the key 'id' appears twice", nullptr},
      {"version: 1.2.3", "version: \"\"", "a non-empty text was expected", "/version"},
      {"version: 1.2.3", "version: 1.2", "a text was expected; put it in quotes", "/version"},
      {"vendor: Acme", "vendor: {name: Acme}", "a non-empty text was expected", "/vendor"},
      {"vendor: Acme", "vendor: ~", "a non-empty text was expected", "/vendor"},
      {"major: 1", "major: one", "a number from 0 to 65535 was expected", "/abi/major"},
      {"major: 1", "major: -1", "a number from 0 to 65535 was expected", "/abi/major"},
      {"major: 1", "major: 1.5", "a number from 0 to 65535 was expected", "/abi/major"},
      {"minor: 4", "minor: 65536", "a number from 0 to 65535 was expected", "/abi/minor"},
      {"minor: 4", "minor: 99999", "a number from 0 to 65535 was expected", "/abi/minor"},
      {", min_host_minor: 2", "", "a number from 0 to 65535 was expected", "/abi/min_host_minor"},
      {"abi: {major: 1, minor: 4, min_host_minor: 2}", "abi: 1.0", "major, minor and min_host_minor were expected", "/abi"},
      {"library: libgood.so", "library: ../libgood.so", "a file name in the plugin's own folder was expected", "/library"},
      {"library: libgood.so", "library: /lib/libgood.so", "a file name in the plugin's own folder was expected", "/library"},
      {"library: libgood.so", "library: ..", "a file name in the plugin's own folder was expected", "/library"},
      {"  - id: good.family", "  - name: good.family", "an unknown key; ", "/families/0/name"},
      {"  - id: good.family", "  - words\n  - id: good.family", "keys and values were expected", "/families/0"},
      {"aspects: [attention, head]", "aspects: [attention, teeth]", "one of embedding, attention", "/families/0/aspects/1"},
      {"aspects: [attention, head]", "aspects: []", "a list of what the family counts was expected", "/families/0/aspects"},
      {"aspects: [attention, head]", "aspects: attention", "a list was expected", "/families/0/aspects"},
      {"signal_buffers: always", "signal_buffers: sometimes", "one of never, multi_rank, always was expected",
       "/families/0/signal_buffers"},
      {"- OneForCausalLM", "- [OneForCausalLM]", "a non-empty text was expected", "/families/0/architectures/0"},
      {"{name: TwoForCausalLM, signal_buffers: never}", "{signal_buffers: never}", "a non-empty text was expected",
       "/families/0/architectures/1/name"},
      {"{name: TwoForCausalLM, signal_buffers: never}", "{name: Two, signal_buffers: no}", "one of never, multi_rank, always was expected",
       "/families/0/architectures/1/signal_buffers"},
      {"model_types: [one, two]", "model_types: [one, {two: 2}]", "a non-empty text was expected", "/families/0/model_types/1"},
      {"model_types: [one, two]", "model_types: one", "a list was expected", "/families/0/model_types"},
      {"one: {hidden_size: 64, nested: {deep: 3}}", "one: 64", "keys and values were expected", "/families/0/class_defaults/one"},
      {"one: {hidden_size: 64, nested: {deep: 3}}", "- one", "keys and values were expected", "/families/0/class_defaults"},
      {"[gate, patch_embed.proj]", "gate", "a list was expected", "/families/0/never_quantized"},
      {"[gate, patch_embed.proj]", "[gate, 3]", "a text was expected; put it in quotes", "/families/0/never_quantized/1"},
      {"[mtp.]", "[[mtp.]]", "a non-empty text was expected", "/families/0/draft_modules/0"},
      {"[eh_proj]", "{eh_proj: 1}", "a list was expected", "/families/0/draft_joins"},
      {"{qkv_proj: [q_proj, k_proj, v_proj]}", "[qkv_proj]", "keys and values were expected", "/families/0/fusions"},
      {"{qkv_proj: [q_proj, k_proj, v_proj]}", "{qkv_proj: q_proj}", "a list was expected", "/families/0/fusions/qkv_proj"},
      {"{qkv_proj: [q_proj, k_proj, v_proj]}", "{qkv_proj: []}", "the names of the parts were expected", "/families/0/fusions/qkv_proj"},
      {"gguf: gguf.json", "gguf: {architectures: {}}", "a non-empty text was expected", "/families/0/gguf"},
      {"gguf: gguf.json", "gguf: ../gguf.json", "a file name in the plugin's own folder was expected", "/families/0/gguf"},
      {"library: libgood.so", "librari: libgood.so", "an unknown key; did you mean library?", "/librari"},
      {"vendor: Acme", "vendor: Acme\nhomepage: x", "an unknown key; schema, id, version", "/homepage"},
      {"min_host_minor: 2", "min_host_miner: 2", "an unknown key; did you mean min_host_minor?", "/abi/min_host_miner"},
      {"aspects: [attention, head]", "aspect: [attention, head]", "an unknown key; did you mean aspects?", "/families/0/aspect"},
      {"name: TwoForCausalLM, signal_buffers", "name: TwoForCausalLM, signal_bufers", "an unknown key; did you mean signal_buffers?",
       "/families/0/architectures/1/signal_bufers"},
      {"vendor: Acme", "vendor: Acme\nreplaces: dense", "a list was expected", "/replaces"},
      {"vendor: Acme", "vendor: Acme\nreplaces: [dense, 3]", "a text was expected; put it in quotes", "/replaces/1"},
      {"id: good\n", "id: go od\n", "up to 64 letters, digits, - . and _ were expected", "/id"},
      {"id: good\n", "id: '\"); system(\"'\n", "up to 64 letters, digits, - . and _ were expected", "/id"},
      {"id: good\n", "id: a*/b\n", "up to 64 letters, digits, - . and _ were expected", "/id"},
      {"id: good\n", "id: .good\n", "a letter or digit first", "/id"},
      {"id: good\n", "id: ../good\n", "up to 64 letters, digits, - . and _ were expected", "/id"},
      {"id: good\n", "id: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n", "up to 64 letters", "/id"},
      {"- id: good.family", "- id: good family", "up to 64 letters, digits, - . and _ were expected", "/families/0/id"},
      {"signal_sites: 3", "signal_sites: 4097", "a number from 0 to 4096 was expected", "/families/0/signal_sites"},
      {"signal_sites: 3", "signal_sites: -1", "a number from 0 to 4096 was expected", "/families/0/signal_sites"},
      {"signal_sites: 3", "signal_sites: many", "a number from 0 to 4096 was expected", "/families/0/signal_sites"},
      {"signal_sites: 3", "signal_site: 3", "an unknown key; did you mean signal_sites?", "/families/0/signal_site"},
      {"signal_bytes: 65536", "signal_bytes: 1125899906842625", "a number from 0 to 1125899906842624 was expected",
       "/families/0/signal_bytes"},
      {"signal_bytes: 65536", "signal_bytes: 64KiB", "a number from 0 to 1125899906842624 was expected", "/families/0/signal_bytes"},
      {"aliases: {nimbus_text: qwen3, ", "aliases: [{nimbus_text: qwen3}, {", "not a YAML document", nullptr},
      {"{nimbus_text: qwen3, NimbusForCausalLM: qwen3}", "[nimbus_text]", "keys and values were expected", "/aliases"},
      {"nimbus_text: qwen3", "nimbus_text: [qwen3]", "a non-empty text was expected", "/aliases/nimbus_text"},
      {"nimbus_text: qwen3", "nimbus_text: 3", "a text was expected; put it in quotes", "/aliases/nimbus_text"},
      {"nimbus_text: qwen3", "nimbus_text: ''", "a non-empty text was expected", "/aliases/nimbus_text"},
      {"nimbus_text: qwen3", "nimbus_text: \"a\\tb\"", "1 to 64 printable bytes were expected", "/aliases/nimbus_text"},
      {"nimbus_text: qwen3", "nimbus_text: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
       "1 to 64 printable bytes were expected", "/aliases/nimbus_text"},
      {"nimbus_text: qwen3", "'': qwen3", "as a name 1 to 64 printable bytes were expected", "/aliases"},
      {"nimbus_text: qwen3", "\"a\\x7f\": qwen3", "as a name 1 to 64 printable bytes were expected", "/aliases"},
      {"nimbus_text: qwen3", "nimbus_text: nimbus_text", "is an alias of itself", "/aliases/nimbus_text"},
      {"NimbusForCausalLM: qwen3", "NimbusForCausalLM: nimbus_text", "'nimbus_text' is an alias too; name what it stands for, 'qwen3'",
       "/aliases/NimbusForCausalLM"},
      {"nimbus_text: qwen3", "two: qwen3", "family 'good.family' of this manifest plans it; keep one of both", "/aliases/two"},
      {"nimbus_text: qwen3", "OneForCausalLM: qwen3", "family 'good.family' of this manifest plans it", "/aliases/OneForCausalLM"},
      {"aliases: {nimbus", "alias: {nimbus", "an unknown key; did you mean aliases?", "/alias"},
      {"library: libgood.so\n", "", "a non-empty text was expected: the file of the plugin's code", "/library"},
      {"types: {acme_lat5: {block: 64, bytes: 42}}", "types: [acme_lat5]", "instead of keys and values", "/types"},
      {"block: 64, bytes: 42", "block: 64, byte: 42", "an unknown key; did you mean bytes?", "/types/acme_lat5/byte"},
      {"bits_per_element: 3", "bits_per_element: 0", "0 instead of an integer from 1 to 64", "/formats/acme_q3/bits_per_element"},
      {"type: acme_lat5", "type: acme_lat6", "\"acme_lat6\" instead of a type that the host or this manifest has",
       "/formats/acme_q3/scales/0/type"},
      {"formats: {acme", "format: {acme", "an unknown key; did you mean formats?", "/format"},
      {"abi: {major", "abi: {{{major", "", nullptr},
      {"id: good\n", "id: \tgood: [\n", "not a YAML document", nullptr},
  };
  for (const Broken& c : cases) {
    std::string text = kGood;
    const std::size_t at = text.find(c.line);
    ASSERT_NE(at, std::string::npos) << c.line;
    text.replace(at, std::string(c.line).size(), c.instead);
    const TemporaryFolder folder;
    const std::string file = folder.write("plugin.yaml", text);
    const auto m = read_manifest(folder.path());
    ASSERT_FALSE(m) << c.line << " -> " << c.instead;
    EXPECT_EQ(m.error().code, ErrorCode::kPluginFailed) << c.instead;
    EXPECT_THAT(m.error().message, HasSubstr(c.message)) << c.instead;
    EXPECT_THAT(m.error().where, HasSubstr(file));
    if (c.pointer != nullptr) {
      EXPECT_EQ(m.error().where, file + ": " + c.pointer) << c.instead << ": " << m.error().message;
    }
  }
}

TEST(Manifest, VersionsAreSemantic) {
  const auto read = [](const std::string& version) {
    const TemporaryFolder folder;
    folder.write("plugin.yaml", good_manifest("good", '"' + version + '"'));
    return read_manifest(folder.path());
  };
  for (const char* right : {"0.0.0", "1.2.3", "10.20.30", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-0.3.7", "1.0.0-x-y.7z", "1.0.0+20261128",
                            "1.0.0-rc.1+build.007"})
    EXPECT_TRUE(read(right)) << right;
  for (const char* wrong : {"banana", "1", "1.0", "1.0.0.0", "v1.0.0", "01.0.0", "1.0.00", "1.0.0-", "1.0.0-01", "1.0.0-a..b", "1.0.0+",
                            "1.0.0+a+b", "1.0.x", "1..0", "1.0.", " 1.0.0", "1.0.0-\u00e9"}) {
    const auto refused = read(wrong);
    ASSERT_FALSE(refused) << wrong;
    EXPECT_THAT(refused.error().message, HasSubstr("a semantic version was expected")) << wrong;
    EXPECT_THAT(refused.error().where, HasSubstr("plugin.yaml: /version")) << wrong;
  }
}

TEST(Manifest, SaysWhatItMayReplaceAndWhichFilesItSpeaksFor) {
  const TemporaryFolder folder;
  std::string text = kGood;
  text.replace(text.find("vendor:"), 0, "replaces: [dense, LlamaForCausalLM]\n");
  folder.write("plugin.yaml", text);
  const auto m = read_manifest(folder.path());
  ASSERT_TRUE(m) << m.error().message;
  EXPECT_THAT(m->replaces, ElementsAre("dense", "LlamaForCausalLM"));
  EXPECT_THAT(files_of(*m), ElementsAre("plugin.yaml", "libgood.so", "gguf.json"));
}

TEST(Manifest, ListsOfModulesEnd) {
  std::string text = kGood;
  std::string many = "[a0";
  for (int i = 1; i < 257; ++i) many += ", a" + std::to_string(i);
  const std::string short_list = "[gate, patch_embed.proj]";
  text.replace(text.find(short_list), short_list.size(), many + "]");
  const TemporaryFolder folder;
  const std::string file = folder.write("plugin.yaml", text);
  const auto m = read_manifest(folder.path());
  ASSERT_FALSE(m);
  EXPECT_EQ(m.error().message, "257 names; at most 256 are read");
  EXPECT_EQ(m.error().where, file + ": /families/0/never_quantized");
}

TEST(Manifest, NeedsAMapAndAFamily) {
  const std::pair<const char*, const char*> cases[] = {{"", "no YAML document"},
                                                       {"- a\n- b\n", "keys and values were expected"},
                                                       {"just words", "keys and values were expected"},
                                                       {"42", "keys and values were expected"}};
  for (const auto& [text, says] : cases) {
    const TemporaryFolder folder;
    folder.write("plugin.yaml", text);
    const auto m = read_manifest(folder.path());
    ASSERT_FALSE(m) << text;
    EXPECT_THAT(m.error().message, HasSubstr(says));
  }
  std::string text = kGood;
  text.erase(text.find("families:"));
  for (const char* families : {"", "families:\n", "families: []\n", "families: none\n"}) {
    const TemporaryFolder folder;
    folder.write("plugin.yaml", text + families);
    const auto m = read_manifest(folder.path());
    ASSERT_FALSE(m) << families;
    EXPECT_THAT(m.error().message, HasSubstr("at least one family was expected"));
  }
}

TEST(Manifest, MayBeWrittenAsJson) {
  const TemporaryFolder folder;
  folder.write("plugin.yaml", R"({
  "schema": "plimsoll.plugin/1", "id": "good", "version": "1.2.0", "vendor": "Acme", "library": "libgood.so",
  "abi": {"major": 1, "minor": 4, "min_host_minor": 2},
  "families": [{"id": "good.family", "aspects": ["vision"], "signal_buffers": "never", "architectures": ["One"]}]
})");
  const auto m = read_manifest(folder.path());
  ASSERT_TRUE(m) << m.error().where << ": " << m.error().message;
  EXPECT_EQ(m->version, "1.2.0");
  EXPECT_EQ(m->families.at(0).names().architectures.count("One"), 1U);
}

// Deep nesting and aliases that multiply: refused, without exhausting the stack or memory.
TEST(Manifest, OfAnEnemyIsRefused) {
  std::string laughs = "a: &a [x, x, x, x, x, x, x, x, x]\n";
  for (char c = 'b'; c < 'k'; ++c) {
    laughs += std::string(1, c) + ": &" + c + " [";
    for (int i = 0; i < 9; ++i) laughs += std::string(i == 0 ? "*" : ", *") + static_cast<char>(c - 1);
    laughs += "]\n";
  }
  std::string bomb = kGood;
  bomb.replace(bomb.find("{deep: 3}"), 9, "*j");
  const std::vector<std::string> texts{std::string(500'000, '['), "a: " + std::string(400'000, '{'), std::string(2 << 20, ' '),
                                       laughs + bomb};
  for (const std::string& text : texts) {
    const TemporaryFolder folder;
    folder.write("plugin.yaml", text);
    const auto m = read_manifest(folder.path());
    ASSERT_FALSE(m) << text.substr(0, 20);
    EXPECT_EQ(m.error().code, ErrorCode::kPluginFailed);
  }
}

TEST(Manifest, ThatIsNotThereNamesTheFile) {
  const auto m = read_manifest("/nonexistent");
  ASSERT_FALSE(m);
  EXPECT_EQ(m.error().code, ErrorCode::kPluginFailed);
  EXPECT_THAT(m.error().where, HasSubstr("/nonexistent/plugin.yaml"));
}

TEST(Manifest, NamesAspectsInOneOrder) {
  EXPECT_THAT(aspect_names(PLIMSOLL_ASPECT_ALL), ElementsAre("embedding", "attention", "ffn", "state", "vision", "head"));
  EXPECT_THAT(aspect_names(PLIMSOLL_ASPECT_HEAD | PLIMSOLL_ASPECT_EMBED), ElementsAre("embedding", "head"));
  EXPECT_TRUE(aspect_names(0).empty());
}

// The order of semver.org, oldest first.
TEST(Versions, AreOrdered) {
  const std::vector<std::string> ordered{"0.9.0",         "1.0.0-alpha",
                                         "1.0.0-alpha.1", "1.0.0-alpha.beta",
                                         "1.0.0-beta",    "1.0.0-beta.2",
                                         "1.0.0-beta.11", "1.0.0-rc.1",
                                         "1.0.0",         "1.0.1",
                                         "1.2.0",         "1.10.0",
                                         "2.0.0",         "18446744073709551616.0.0"};
  for (std::size_t i = 0; i < ordered.size(); ++i)
    for (std::size_t j = 0; j < ordered.size(); ++j)
      EXPECT_EQ(is_newer_version(ordered[i], ordered[j]), i > j) << ordered[i] << " " << ordered[j];
  EXPECT_FALSE(is_newer_version("1.0.0+b", "1.0.0+a"));
  EXPECT_FALSE(is_newer_version("1.0.0", "1.0.0+a-1"));
  EXPECT_TRUE(is_newer_version("1.0.0+a-1", "1.0.0-rc.1"));
}

} // namespace
} // namespace plimsoll::testing
