// Checkpoints made to break a reader, through the program: exit code 2 and an error that names the file and the tensor, at once
// and within bounded memory.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <sys/resource.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include "cli/program.hpp"
#include "support/sparse_checkpoint.hpp"

namespace plimsoll::cli_test {
namespace {

namespace fs = std::filesystem;
using test::gguf_string;
using test::little_endian;
using ::testing::AnyOf;
using ::testing::HasSubstr;

// A model's folder: the configuration, and whatever a case puts beside it.
class Model {
public:
  Model() { fs::copy_file(data_path("llama") + "/config.json", folder_ / "config.json"); }
  std::string operator/(std::string_view name) const { return folder_ / name; }
  std::string path() const { return folder_.path(); }
  Outcome plan() const { return run({"plan", path(), "--devices", "8x80GiB", "--format", "json"}); }

private:
  test::TemporaryDirectory folder_;
};

// Processor time of all programs run so far: a busy machine does not change it, and what blocks runs into ctest's limit.
double children_seconds() {
  rusage used{};
  getrusage(RUSAGE_CHILDREN, &used);
  const auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

// What a good model takes here: sanitizers and slow machines make every start longer.
double usual_seconds() {
  static const double seconds = [] {
    const double before = children_seconds();
    EXPECT_EQ(Model().plan().code, 0);
    return children_seconds() - before;
  }();
  return seconds;
}

// Plans `model` (a folder or a file) and holds the answer against what every refusal must be.
void expect_refused(const std::string& name, const std::string& model, const std::string& file, const std::string& says) {
  const double usual = usual_seconds(), before = children_seconds();
  const Outcome outcome = run({"plan", model, "--devices", "80GiB", "--format", "json"});
  EXPECT_LT(children_seconds() - before, 1.0 + 3 * usual) << name;
  EXPECT_EQ(outcome.code, 2) << name << outcome.out << outcome.err;
  const auto document = nlohmann::json::parse(outcome.out, nullptr, false);
  ASSERT_FALSE(document.is_discarded()) << name << outcome.out;
  const std::string message = document["error"]["message"], where = document["error"]["where"];
  EXPECT_THAT(message + where, HasSubstr(file)) << name;
  EXPECT_THAT(message + where, HasSubstr(says)) << name;
}

struct HostileCase {
  const char* name;
  std::string start; // of the file; a hole follows
  std::string says;
};

std::string tensor(const std::string& fields) { return "{\"the.tensor\":{" + fields + "}}"; }

TEST(CliHostile, SafetensorsHeaders) {
  const auto header = [](const std::string& text) { return test::safetensors_start_of(text); };
  const std::string good = R"("dtype":"U8","shape":[4],"data_offsets":[0,4])", deep(100'000, '[');
  const HostileCase cases[] = {
      {"length 0", little_endian(0, 8), "header length is 0"},
      {"length 2^63", little_endian(1ULL << 63, 8), "header length is 9223372036854775808"},
      {"length beyond the file", little_endian(5000, 8), "the file has only"},
      {"out of range", header(tensor(R"("dtype":"U8","shape":[9000],"data_offsets":[0,9000])")), "'the.tensor'"},
      {"backwards", header(tensor(R"("dtype":"U8","shape":[4],"data_offsets":[4,0])")), "'the.tensor'"},
      {"overlap", header("{\"a\":{" + good + "},\"the.tensor\":{" + good + "}}"), "'a' and 'the.tensor' both claim"},
      {"twice", header("{\"the.tensor\":{" + good + R"(},"the.tensor":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})"),
       "'the.tensor' is stored twice"},
      {"overflow", header(tensor(R"("dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,4])")), "'the.tensor'"},
      {"unknown dtype", header(tensor(R"("dtype":"Q9","shape":[4],"data_offsets":[0,4])")), "unknown dtype 'Q9'"},
      {"endless name", header("{\"" + std::string(5000, 'x') + "\":{" + good + "}}"), "a name of 5000 bytes"},
      {"depth bomb", header(deep), "JSON"},
      {"depth bomb in a tensor", header(tensor("\"x\":" + deep)), "'the.tensor'"},
      {"many tokens", header("{\"x\":" + std::string(2'000'000, ',')), "JSON tokens"},
  };
  for (const HostileCase& c : cases) {
    const Model model;
    test::write_sparse(model / "model.safetensors", c.start, c.start.size() + 1024);
    expect_refused(c.name, model.path(), "model.safetensors", c.says);
  }
}

TEST(CliHostile, GgufFiles) {
  const auto preamble = [](std::uint64_t tensors, std::uint64_t pairs) {
    return "GGUF" + little_endian(3, 4) + little_endian(tensors, 8) + little_endian(pairs, 8);
  };
  const auto pair = [&](const std::string& type_and_value) { return preamble(0, 1) + gguf_string("the.key") + type_and_value; };
  const std::string array = little_endian(9, 4);
  std::string nested = array;
  for (int i = 0; i < 1000; ++i) nested += array + little_endian(1, 8);
  const auto shape = [&](std::uint32_t type, std::uint64_t a, std::uint64_t b) {
    return preamble(1, 0) + gguf_string("the.tensor") + little_endian(2, 4) + little_endian(a, 8) + little_endian(b, 8) +
           little_endian(type, 4) + little_endian(0, 8);
  };
  const HostileCase cases[] = {
      {"2^60 tensors", preamble(1ULL << 60, 0), "1152921504606846976 tensors"},
      {"2^60 keys", preamble(0, 1ULL << 60), "1152921504606846976 metadata keys"},
      {"string beyond the end", pair(little_endian(8, 4) + little_endian(1ULL << 40, 8)), "'the.key'"},
      {"array of 2^60 strings", pair(array + little_endian(8, 4) + little_endian(1ULL << 60, 8)), "'the.key'"},
      {"arrays in arrays", pair(nested), "'the.key'"},
      {"overflow", shape(0, 1ULL << 40, 1ULL << 40), "'the.tensor'"},
      {"unknown type", shape(999, 32, 32), "'the.tensor'"},
      {"beyond any file", shape(0, 1ULL << 30, 1ULL << 20), "'the.tensor'"},
  };
  const test::TemporaryDirectory folder;
  for (const HostileCase& c : cases) {
    test::write_sparse(folder / "m.gguf", c.start, c.start.size() + 1024);
    expect_refused(c.name, folder / "m.gguf", "m.gguf", c.says);
  }
}

TEST(CliHostile, ThingsInPlaceOfShards) {
  const std::pair<const char*, std::function<void(const std::string&)>> cases[] = {
      {"named pipe", [](const std::string& path) { ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0); }},
      {"a directory", [](const std::string& path) { fs::create_directory(path); }},
      {"a device", [](const std::string& path) { fs::create_symlink("/dev/zero", path); }},
      {"symbolic link", [](const std::string& path) { fs::create_symlink(path, path); }},
      {"", [](const std::string& path) { fs::create_symlink("/nonexistent", path); }},
  };
  for (const auto& [says, put] : cases)
    for (const char* name : {"model.safetensors", "model.safetensors.index.json", "model.gguf"}) {
      const Model model;
      if (std::string_view(name) == "model.safetensors.index.json") { // a usual shard beside it
        test::write_safetensors(model / "part-a.safetensors", {{"a", "U8", {4}}});
        test::write_safetensors(model / "part-b.safetensors", {{"b", "U8", {4}}});
      }
      put(model / name);
      const bool gguf = std::string_view(name) == "model.gguf";
      expect_refused(std::string(says) + " " + name, gguf ? model / name : model.path(), name, gguf ? "" : says);
    }
}

// Whatever a writer does meanwhile: an answer of the program's own, never a signal.
TEST(CliHostile, FilesThatChangeWhileBeingRead) {
  const Model model;
  std::vector<test::SparseTensor> tensors;
  for (int i = 0; i < 20'000; ++i) tensors.push_back({"model.layers." + std::to_string(i) + ".weight", "U8", {4}});
  std::uint64_t file_bytes = 0;
  const std::string start = test::safetensors_start(tensors, file_bytes), path = model / "model.safetensors";
  test::write_sparse(path, start, file_bytes);
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    for (std::uint64_t i = 0; !stop; ++i) {
      ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(i % 2 == 0 ? start.size() / 2 : file_bytes)), 0);
      std::ofstream out(path, std::ios::in | std::ios::binary);
      out.seekp(static_cast<std::streamoff>(i * 977 % start.size())) << (i % 3 == 0 ? start.substr(i * 977 % start.size()) : "\"[{9");
    }
  });
  for (std::size_t i = 0; i < 40; ++i) {
    if (!is_tried(i)) continue;
    const Outcome outcome = model.plan();
    EXPECT_THAT(outcome.code, AnyOf(0, 1, 2)) << outcome.out << outcome.err;
    if (outcome.code == 2) {
      EXPECT_THAT(outcome.out, HasSubstr("model.safetensors"));
    }
  }
  stop = true;
  writer.join();
}

// ---- memory ----

constexpr std::uint64_t kHugeBytes = 16'000'000; // of one header

// Writes a file whose header repeats `entry(i)`, in pieces: a child starts with its parent's peak.
void write_huge(const std::string& path, const std::string& begin, const std::function<std::string(std::uint64_t)>& entry,
                const std::string& end, std::uint64_t data_bytes) {
  std::ofstream out(path, std::ios::binary);
  out << little_endian(0, 8) << begin;
  std::uint64_t bytes = begin.size();
  for (std::uint64_t i = 0; bytes < kHugeBytes; ++i) {
    const std::string text = entry(i);
    out << text;
    bytes += text.size();
  }
  out << end;
  bytes += end.size();
  out.seekp(0) << little_endian(bytes, 8);
  out.close();
  ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(8 + bytes + data_bytes)), 0);
}

TEST(CliHostile, AHugeHeaderTakesAtMostFourTimesItsLength) {
  if (kSanitized) GTEST_SKIP() << "sanitizers use memory of their own";
  const auto number = [](std::uint64_t i) { return std::to_string(i); };
  const auto line = [&](std::uint64_t i, std::uint64_t at, const char* layout) {
    const std::string offsets = "\"data_offsets\":[" + number(at) + "," + number(at + 1) + "]";
    return (i == 0 ? "\"" : ",\"") + number(i) + "\":{" +
           (std::string_view(layout) == "usual" ? "\"dtype\":\"U8\",\"shape\":[1]," + offsets
                                                : offsets + ",\"shape\":[1],\"dtype\":\"U8\"") +
           "}";
  };
  constexpr std::uint64_t kMany = 1'000'000;
  const auto same = [](const char* text) { return [text](std::uint64_t) { return std::string(text); }; };
  struct Huge {
    const char* name;
    std::string begin;
    std::function<std::string(std::uint64_t)> entry;
    std::string end;
  };
  const Huge cases[] = {
      {"tensors", "{", [&](std::uint64_t i) { return line(i, i, "usual"); }, "}"},
      {"tensors in another layout", "{", [&](std::uint64_t i) { return line(i, i, "other"); }, "}"},
      {"tensors from the end to the beginning", "{", [&](std::uint64_t i) { return line(i, kMany - i, "usual"); }, "}"},
      {"the same from another writer", "{", [&](std::uint64_t i) { return line(i, kMany - i, "other"); }, "}"},
      {"tensors that overlap", "{", [&](std::uint64_t i) { return line(i, i / 2, "usual"); }, "}"},
      {"names that all occur twice", "{", [&](std::uint64_t i) { return (i == 0 ? "" : ",") + line(0, i, "usual"); }, "}"},
      {"escapes", "{", [&](std::uint64_t i) { return (i == 0 ? "\"\\n" : ",\"\\n") + line(i, i, "usual").substr(i == 0 ? 1 : 2); }, "}"},
      {"brackets", "", same("["), ""},
      {"empty arrays", "{\"x\":[0", same(",[]"), "]}"},
      {"a shape without end", R"({"x":{"dtype":"U8","shape":[1)", same(",1"), R"(],"data_offsets":[0,1]}})"},
      {"extra keys", R"({"x":{"a":1)", same(",\"\":1"), "}}"},
      {"metadata", R"({"__metadata__":{"a":"b")", same(",\"\":\"\""), "}}"},
      {"one long name", "{\"", same("x"), R"(":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})"},
      {"spaces", "", same(" "), "{}"},
  };
  const Model model;
  test::write_safetensors(model / "model.safetensors", {{"a", "U8", {4}}});
  const std::uint64_t usual_bytes = model.plan().peak_bytes;
  for (const Huge& c : cases) {
    write_huge(model / "model.safetensors", c.begin, c.entry, c.end, kMany + 1);
    const Outcome outcome = model.plan();
    EXPECT_THAT(outcome.code, AnyOf(0, 1, 2)) << c.name << outcome.err;
    EXPECT_LE(outcome.peak_bytes, usual_bytes + 4 * kHugeBytes)
        << c.name << ": " << (outcome.peak_bytes - usual_bytes) * 100 / kHugeBytes << " %";
  }
}

// An index that promises what no shard holds is compared name by name.
TEST(CliHostile, AHugeIndexTakesAtMostFourTimesItsLength) {
  if (kSanitized) GTEST_SKIP() << "sanitizers use memory of their own";
  const Model model;
  test::write_safetensors(model / "a", {{"0", "U8", {4}}});
  fs::rename(model / "a", model / "a.safetensors");
  test::write_text(model / "model.safetensors.index.json", R"({"weight_map":{"0":"a.safetensors"}})");
  const std::uint64_t usual_bytes = model.plan().peak_bytes;
  for (const char* space : {"", " "}) { // the usual layout, and one that only simdjson takes
    std::ofstream out(model / "model.safetensors.index.json", std::ios::binary);
    out << R"({"weight_map":{"0":"a.safetensors")";
    std::uint64_t bytes = 0;
    for (std::uint64_t i = 1; bytes < kHugeBytes; ++i) {
      const std::string text = ",\"" + std::to_string(i) + "\":" + space + "\"a.safetensors\"";
      out << text;
      bytes += text.size();
    }
    out << (*space == ' ' ? "}, \"x\": [1]}" : "}}");
    out.close();
    const Outcome outcome = model.plan();
    EXPECT_EQ(outcome.code, 0) << outcome.err; // as the engines load it, with a warning
    EXPECT_THAT(outcome.out, HasSubstr("'1'"));
    EXPECT_LE(outcome.peak_bytes, usual_bytes + 4 * kHugeBytes) << (outcome.peak_bytes - usual_bytes) * 100 / kHugeBytes << " %";
  }
}

} // namespace
} // namespace plimsoll::cli_test
