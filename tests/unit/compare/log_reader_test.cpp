// Start-up logs of every engine as settings and figures, in the catalogue's own words; and what no log may do to the reader.
#include <ctime>
#include <fstream>
#include <gmock/gmock.h>
#include <iterator>

#include "compare/line_filter.hpp"
#include "compare/line_parts.hpp"
#include "compare/log_reader.hpp"
#include "compare/log_wording.hpp"
#include "compare/nearest_models.hpp"
#include "compare/start_record.hpp"

namespace plimsoll {
namespace {

using ::testing::HasSubstr;

constexpr double kGiB = 1073741824, kMiB = 1048576;

const std::vector<Wording>& wordings() {
  static const std::vector<Wording> kAll = read_wordings(PLIMSOLL_SOURCE_DIR "/core/catalogue").value();
  return kAll;
}

std::string text_of(const std::string& name) {
  std::ifstream in(PLIMSOLL_TEST_DATA "/logs/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

struct Figure {
  const char* name;
  double value, step;
};
struct Log {
  const char* file;
  const char* engine;
  const char* release;
  const char* model;
  std::vector<std::pair<const char*, const char*>> settings;
  std::vector<Figure> figures;
};
void PrintTo(const Log& log, std::ostream* out) { *out << log.file; }

class LogReader : public ::testing::TestWithParam<Log> {};

TEST_P(LogReader, FindsSettingsAndFigures) {
  const Log& log = GetParam();
  const auto start = read_log(text_of(log.file), log.file, wordings());
  ASSERT_TRUE(start) << start.error().message;
  EXPECT_EQ(start->engine, log.engine);
  EXPECT_EQ(start->release, log.release);
  EXPECT_EQ(start->model, log.model);
  for (const auto& [name, value] : log.settings) {
    const std::string* found = start->find(name);
    EXPECT_TRUE(found != nullptr && *found == value) << name << " is " << (found ? *found : "not set") << ", not " << value;
  }
  for (const Figure& figure : log.figures) {
    const auto found = start->printed.find(figure.name);
    ASSERT_NE(found, start->printed.end()) << figure.name;
    EXPECT_NEAR(found->second.value, figure.value, 1e-6 * std::abs(figure.value)) << figure.name;
    EXPECT_NEAR(found->second.step, figure.step, 1e-6 * figure.step) << figure.name;
    EXPECT_THAT(found->second.place, HasSubstr(std::string(log.file) + ":"));
  }
  EXPECT_EQ(start->printed.size(), log.figures.size());
}

INSTANTIATE_TEST_SUITE_P(
    Logs, LogReader,
    ::testing::Values(
        Log{"vllm_v0.log",
            "vllm",
            "0.8.5",
            "Qwen/Qwen2.5-0.5B-Instruct",
            {{"max_length", "8192"},
             {"device_memory_utilization", "0.22"},
             {"device_total_bytes", "25286619955"},
             {"dtype", "torch.bfloat16"},
             {"tp", "1"}},
            {{"weights_bytes", 0.9304 * kGiB, kGiB / 10000},
             {"non_torch_bytes", 0.07 * kGiB, kGiB / 100},
             {"activation_bytes", 1.39 * kGiB, kGiB / 100},
             {"available_kv_bytes", 2.79 * kGiB, kGiB / 100},
             {"kv_blocks", 15236, 0},
             {"max_concurrency", 29.76, 0.01},
             {"graph_bytes", 0.16 * kGiB, kGiB / 100}}},
        Log{"vllm_v0_old.log",
            "vllm",
            "0.6.4",
            "meta-llama/Llama-3.1-8B-Instruct",
            {{"max_length", "8192"}, {"device_memory_utilization", "0.90"}},
            {{"weights_bytes", 14.9888 * kGiB, kGiB / 10000},
             {"non_torch_bytes", 0.10 * kGiB, kGiB / 100},
             {"available_kv_bytes", 4.95 * kGiB, kGiB / 100},
             {"kv_blocks", 2534, 0},
             {"max_concurrency", 4.95, 0.01}}},
        Log{"vllm_v1.log",
            "vllm",
            "0.10.1.1",
            "Qwen/Qwen2-7B-Instruct",
            {{"max_length", "16384"},
             {"device_memory_utilization", "0.5"},
             {"max_batch_input_tokens", "2048"},
             {"max_batch_size", "256"},
             {"engine.prefix_caching", "true"}},
            {{"weights_bytes", 14.2488 * kGiB, kGiB / 10000},
             {"available_kv_bytes", 24.83 * kGiB, kGiB / 100},
             {"kv_tokens", 464848, 0},
             {"max_concurrency", 28.37, 0.01},
             {"graph_bytes", 0.5 * kGiB, kGiB / 100}}},
        // Of two ranks the poorer counts, and bytes more than a rounded print of them.
        Log{"vllm_v1_ranks.log",
            "vllm",
            "0.13.0",
            "Qwen/Qwen3-32B",
            {{"kv_dtype", "fp8_e4m3"},
             {"tp", "2"},
             {"device_memory_utilization", "0.9"},
             {"device_free_bytes", "84363895112"},
             {"engine.decode_context_parallel", "1"}},
            {{"weights_bytes", 30.59 * kGiB, kGiB / 100},
             {"activation_bytes", 5.64 * kGiB, kGiB / 100},
             {"non_torch_bytes", 0.54 * kGiB, kGiB / 100},
             {"graph_bytes", 0.33 * kGiB, kGiB / 100},
             {"available_kv_bytes", 36936718745, 0},
             {"kv_tokens", 563600, 0},
             {"max_concurrency", 17.2, 0.01}}},
        Log{"vllm_refused.log",
            "vllm",
            "0.11.0",
            "Qwen/Qwen3-30B-A3B",
            {{"max_length", "131072"}},
            {{"available_kv_bytes", 8.04 * kGiB, kGiB / 100},
             {"needed_kv_bytes", 12 * kGiB, kGiB / 100},
             {"estimated_max_length", 87808, 0}}},
        Log{"sglang.log",
            "sglang",
            "",
            "Qwen/Qwen3-8B",
            {{"device_memory_utilization", "0.906"},
             {"page_tokens", "64"},
             {"max_length", "40960"},
             {"max_batch_size", "4096"},
             {"max_batch_input_tokens", "16384"}},
            {{"weights_bytes", 15.28 * kGiB, kGiB / 100},
             {"kv_tokens", 1707904, 0},
             {"kv_cache_bytes", 234.56 * kGiB, kGiB / 50},
             {"graph_bytes", 0.6 * kGiB, kGiB / 100}}},
        Log{"sglang_hybrid.log",
            "sglang",
            "",
            "Qwen/Qwen3-Next-80B-A3B-Instruct",
            {{"kv_dtype", "fp8_e4m3"}, {"state_slots", "22"}, {"tp", "2"}},
            {{"weights_bytes", 74.3 * kGiB, kGiB / 100},
             {"kv_tokens", 300000, 0},
             {"kv_cache_bytes", 1.72 * kGiB, kGiB / 50},
             {"state_bytes", 0.83 * kGiB, kGiB / 50},
             {"graph_bytes", 1.5 * kGiB, kGiB / 100}}},
        Log{"sglang_latent.log",
            "sglang",
            "",
            "deepseek-ai/DeepSeek-V3.1",
            {{"attention_dp", "True"}, {"dp", "8"}},
            {{"weights_bytes", 94.1 * kGiB, kGiB / 100}, {"kv_tokens", 262144, 0}, {"kv_cache_bytes", 17.16 * kGiB, kGiB / 100}}},
        Log{"tensorrt_llm.log",
            "tensorrt-llm",
            "1.0.0",
            "",
            {{"device_memory_utilization", "0.95"}, {"page_tokens", "32"}, {"max_length", "131072"}, {"max_batch_input_tokens", "8192"}},
            {{"kv_blocks", 15009, 0}, {"kv_tokens", 480288, 0}, {"kv_cache_bytes", 58.63 * kGiB, kGiB / 100}}},
        Log{"llama_cpp.log",
            "llama.cpp",
            "b6895",
            "/models/llama-3.1-8b-q4_k_m.gguf",
            {{"max_length", "32768"}, {"max_batch_input_tokens", "512"}, {"kv_dtype", "f16"}, {"engine.kv_unified", "false"}},
            {{"weights_bytes", 4685.3 * kMiB, kMiB / 50},
             {"kv_cache_bytes", 4096 * kMiB, kMiB / 100},
             {"compute_buffer_bytes", 266.5 * kMiB, kMiB / 100}}},
        Log{"llama_cpp_windows.log", "llama.cpp", "b6601", "", {{"max_length", "8192"}}, {{"kv_cache_bytes", 650 * kMiB, kMiB / 50}}},
        Log{"llama_cpp_recurrent.log",
            "llama.cpp",
            "",
            "",
            {{"max_batch_size", "1"}, {"state_slots", "1"}},
            {{"kv_cache_bytes", 512 * kMiB, kMiB / 100},
             {"state_bytes", 149.62 * kMiB, kMiB / 100},
             {"compute_buffer_bytes", 498 * kMiB, kMiB / 100}}},
        Log{"ik_llama_cpp.log",
            "llama.cpp",
            "b3597",
            "deepseek-r1.gguf",
            {{"engine.mla_cache", "latent"}, {"kv_dtype", "q8_0"}, {"max_length", "65536"}},
            {{"weights_bytes", 215601.95 * kMiB, kMiB / 50},
             {"kv_cache_bytes", 2333.25 * kMiB, kMiB / 100},
             {"compute_buffer_bytes", 6081 * kMiB, kMiB / 100}}},
        Log{"llama_cpp_old.log",
            "llama.cpp",
            "",
            "",
            {{"kv_dtype", "f16"}},
            {{"kv_cache_bytes", 448 * kMiB, kMiB / 100}, {"compute_buffer_bytes", 300.75 * kMiB, kMiB / 100}}},
        // Arguments that are no defaults, one of them a dictionary with names of its own.
        Log{"vllm_arguments.log",
            "vllm",
            "",
            "~/.cache/huggingface/qwen3.6-27b-autoround-int4",
            {{"num_draft_tokens", "3"},
             {"draft_method", "mtp"},
             {"engine.prefix_caching", "true"},
             {"kv_dtype", "fp8_e5m2"},
             {"max_batch_size", "2"},
             {"max_batch_input_tokens", "8192"},
             {"quantization", "auto_round"},
             {"tp", "2"}},
            {{"available_kv_bytes", 11.05 * kGiB, kGiB / 100}, {"kv_tokens", 623873, 0}, {"max_concurrency", 2.38, 0.01}}},
        Log{"vllm_hybrid.log",
            "vllm",
            "0.29.0",
            "Qwen/Qwen3.8-27B",
            {{"page_tokens", "784"}, {"device_memory_utilization", "0.9"}, {"max_batch_input_tokens", "8192"}},
            {{"weights_bytes", 51.1 * kGiB, kGiB / 10},
             {"activation_bytes", 2.58 * kGiB, kGiB / 100},
             {"graph_bytes", 0.3 * kGiB, kGiB / 100},
             {"block_tokens", 784, 0},
             {"available_kv_bytes", 31.24 * kGiB, kGiB / 100},
             {"kv_tokens", 314187, 0},
             {"max_concurrency", 38.35, 0.01}}},
        // Cut at 100 columns, within words and numbers.
        Log{"vllm_wrapped.log",
            "vllm",
            "0.27.2rc1.dev77+gac7509e2b",
            "/model",
            {{"max_length", "100000"}, {"tp", "1"}, {"num_draft_tokens", "4"}, {"draft_method", "mtp"}, {"kv_dtype", "fp8"}},
            {{"needed_kv_bytes", 4.26 * kGiB, kGiB / 100}, {"available_kv_bytes", 4.25 * kGiB, kGiB / 100}}},
        Log{"vllm_state_blocks.log", "vllm", "", "", {{"max_batch_size", "1024"}}, {{"kv_blocks", 856, 0}}},
        Log{"vllm_free_memory.log",
            "vllm",
            "0.26.0",
            "Qwen/Qwen3-8B",
            {{"device_free_bytes", "32341103739"}, {"device_total_bytes", "85029615043"}, {"device_memory_utilization", "0.9"}},
            {}},
        Log{"vllm_out_of_memory.log",
            "vllm",
            "0.8.5",
            "Qwen/Qwen3-32B",
            {{"device_total_bytes", "47695611822"}, {"max_length", "8192"}},
            {{"refused_bytes", 500 * kMiB, kMiB / 100}}},
        Log{"sglang_dictionary.log",
            "sglang",
            "",
            "/models/DeepSeek-V4-Flash",
            {{"tp", "4"},
             {"ep", "4"},
             {"max_length", "1048576"},
             {"kv_dtype", "fp8_e4m3"},
             {"device_memory_utilization", "0.95"},
             {"token_cap", "3000000"},
             {"num_draft_tokens", "6"},
             {"page_tokens", "256"}},
            {{"weights_bytes", 94 * kGiB, kGiB / 100}, {"kv_tokens", 2999808, 0}}},
        Log{"sglang_fraction.log",
            "sglang",
            "",
            "deepseek-ai/DeepSeek-V4-Pro",
            {{"device_memory_utilization", "0.88"}, {"tp", "8"}},
            {{"weights_bytes", 125.65 * kGiB, kGiB / 100}, {"least_utilization", 0.9112, 0.0001}}},
        Log{"llama_cpp_no_memory.log",
            "llama.cpp",
            "b6895",
            "/models/llama-3.1-8b-q4_k_m.gguf",
            {{"max_length", "131072"}},
            {{"weights_bytes", 4403.49 * kMiB, kMiB / 100}, {"refused_bytes", 16384 * kMiB, kMiB / 100}}},
        Log{"llama_cpp_sequences.log", "llama.cpp", "", "", {{"state_slots", "3"}}, {{"state_bytes", 448.88 * kMiB, kMiB / 100}}},
        Log{"tensorrt_llm_no_memory.log", "tensorrt-llm", "1.0.0", "", {{"device_total_bytes", "25286619955"}}, {}}),
    [](const auto& info) { return std::string(info.param.file).substr(0, std::string(info.param.file).find('.')); });

TEST(LogReaderRefusal, IsKnownByItsSentence) {
  struct Case {
    const char* text;
    StartRefusal kind;
  };
  using R = StartRefusal;
  const std::string serving = "GPU KV cache size: 1,024 tokens\n";
  for (const Case& c :
       {Case{"Free memory on device (10.0/80.0 GiB) on startup is less than desired GPU memory utilization (0.92, 73.6 GiB)",
             R::kFreeMemory},
        Case{"max_num_seqs (1024) exceeds available Mamba cache blocks (856)", R::kStateBlocks},
        Case{"To serve at least one request with the model's max seq len (131072), (12.00 GiB KV cache is needed, which is larger than the "
             "available KV cache memory (8.04 GiB)",
             R::kOneRequest},
        Case{"The model's max seq len (8192) is larger than the maximum number of tokens that can be stored in KV cache (6048)",
             R::kOneRequest},
        Case{"ValueError: No available memory for the cache blocks.", R::kNoKvMemory},
        Case{"Available KV cache memory: -1.05 GiB", R::kNoKvMemory},
        Case{"CUDA out of memory occurred when warming up sampler with 1024 dummy requests", R::kOutOfMemory},
        Case{"torch.OutOfMemoryError: HIP out of memory. Tried to allocate 12.95 GiB. GPU 0 has a total capacity of 127.00 GiB",
             R::kOutOfMemory},
        // The cause, not what came of it; and nothing where the engine went on.
        Case{"CUDA out of memory.\nmax_num_seqs (1024) exceeds available Mamba cache blocks (856)", R::kStateBlocks},
        Case{"ERROR CUDA out of memory\nINFO: Application startup complete.", R::kNone},
        Case{"INFO: Application startup complete.\nERROR CUDA out of memory", R::kNone}}) {
    const auto start = read_log(serving + c.text + "\n", "x", wordings());
    ASSERT_TRUE(start) << c.text;
    EXPECT_EQ(start->refusal.kind, c.kind) << c.text << ": " << start->refusal.text;
    EXPECT_LE(start->refusal.text.size(), kMaxRefusalText);
  }
  // A compute buffer that did not fit is tried again.
  const std::string buffer = "llama_context: n_ctx = 4096\nggml_backend_cuda_buffer_type_alloc_buffer: allocating 8900.01 MiB on device 0: "
                             "cudaMalloc failed: out of memory\n";
  EXPECT_EQ(read_log(buffer, "x", wordings())->refusal.kind, R::kOutOfMemory);
  EXPECT_EQ(read_log(buffer + "sched_reserve: compute buffer allocation failed, retrying without pipeline parallelism\n", "x", wordings())
                ->refusal.kind,
            R::kNone);
  // A sentence that several engines may write tells of none.
  const auto any = read_log("torch.OutOfMemoryError: CUDA out of memory.\n", "x", wordings());
  ASSERT_FALSE(any);
  EXPECT_THAT(any.error().message, HasSubstr("several engines"));
}

TEST(LogReaderInput, PutsCutLinesTogether) {
  const std::string arguments =
      "(APIServer pid=1) INFO 07-07 19:59:04 [api_utils.py:273] non-default args: {'model': 'Qwen/Qwen3-8B', 'max_model_len': 262144, "
      "'tensor_parallel_size': 2, 'kv_cache_dtype': 'fp8_e5m2', 'max_num_batched_tokens': 8192, 'gpu_memory_utilization': 0.95}";
  const std::string memory = "(Worker_TP0 pid=101) INFO 07-08 15:38:03 [gpu_worker.py:508] Available KV cache memory: 11.05 GiB";
  const auto cut = [](const std::string& line, std::size_t columns) {
    std::string out;
    for (std::size_t at = 0; at < line.size(); at += columns) out += line.substr(at, columns) + "\n";
    return out;
  };
  // Between words, as fold -s and mail do.
  const auto folded = [](const std::string& line, std::size_t columns) {
    std::string out, rest = line;
    while (rest.size() > columns) {
      const std::size_t blank = rest.rfind(' ', columns);
      out += rest.substr(0, blank) + "\n";
      rest.erase(0, blank + 1);
    }
    return out + rest + "\n";
  };
  for (const std::size_t columns : {80U, 100U, 120U, 132U})
    for (const std::string& text : {cut(arguments, columns) + cut(memory, columns), folded(arguments, columns) + folded(memory, columns)}) {
      const auto start = read_log(text, "x", wordings());
      ASSERT_TRUE(start) << text;
      EXPECT_EQ(start->engine, "vllm");
      EXPECT_EQ(start->model, "Qwen/Qwen3-8B") << text;
      for (const auto& [name, value] : {std::pair("max_length", "262144"), std::pair("tp", "2"), std::pair("kv_dtype", "fp8_e5m2"),
                                        std::pair("max_batch_input_tokens", "8192"), std::pair("device_memory_utilization", "0.95")}) {
        const std::string* found = start->find(name);
        EXPECT_TRUE(found != nullptr && *found == value) << name << " in " << text;
      }
      ASSERT_TRUE(start->printed.contains("available_kv_bytes")) << text;
      EXPECT_EQ(start->printed.at("available_kv_bytes").value, 11.05 * kGiB) << text;
    }
}

TEST(LogReaderInput, NamesTheLineOfAnEditorWhateverEndsIt) {
  const auto start = read_log("a\r\nbar 1\rbar 2\rbar 3\nAvailable KV cache memory: 1.00 GiB\r\n", "x", wordings());
  ASSERT_TRUE(start);
  EXPECT_EQ(start->printed.at("available_kv_bytes").place, "x:3");
}

TEST(LogReaderInput, RefusesWhatNoEngineWrote) {
  for (const std::string& text : {std::string(), std::string("hello\nworld\n"), std::string("\0\x1b[\x1b\xff\n", 6)}) {
    const auto start = read_log(text, "x", wordings());
    ASSERT_FALSE(start);
    EXPECT_EQ(start.error().where, "x");
  }
}

TEST(LogReaderInput, PassesOverNumbersThatAreNone) {
  const auto start =
      read_log("Available KV cache memory: 99999999999999999999999999999999999999999999999999999 GiB\nGPU KV cache size: 1,2,,3 tokens\n"
               "GPU KV cache size: -5 tokens\nAvailable KV cache memory: 2.50 GiB\n",
               "x", wordings());
  ASSERT_TRUE(start);
  EXPECT_EQ(start->printed.at("available_kv_bytes").value, 2.5 * kGiB);
}

std::string repeated(const std::string& part, std::size_t bytes) {
  std::string out;
  out.reserve(bytes + part.size());
  while (out.size() < bytes) out += part;
  return out;
}

double processor_seconds(const std::string& text) {
  const std::clock_t before = std::clock();
  static_cast<void>(read_log(text, "x", wordings()));
  return static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
}

// No text makes the reader slow: whatever the lines are, it takes the processor no more than a few times as long as an engine's own
// log of the same size. Looking for every engine's words in every line apart took fourteen times as long for blank lines.
TEST(LogReaderInput, TakesNoLongerForOtherTextThanForALog) {
  constexpr std::size_t kBytes = 4U << 20;
  const double usual = processor_seconds(repeated(text_of("vllm_v1.log"), kBytes));
  struct Case {
    const char* name;
    std::string text;
  };
  for (const Case& c :
       {Case{"blank lines", repeated("\n", kBytes)}, Case{"blank lines of another system", repeated("\r\n", kBytes)},
        Case{"returns without a line feed", repeated("\r", kBytes)}, Case{"short lines", repeated("x\n", kBytes)},
        Case{"a progress bar", repeated("loading 7 %\r", kBytes)}, Case{"one endless line", repeated("#", kBytes)},
        Case{"colours", repeated("\x1b[1m", kBytes)},
        Case{"beginnings of patterns", repeated(repeated("Graph capturing finished in ", 60'000) + "\n", kBytes)},
        Case{"a common character", repeated(repeated(",", 60'000) + "\n", kBytes)},
        Case{"lines of a terminal's width", repeated(std::string(100, 'x') + "\n", kBytes)},
        Case{"words of a terminal's width", repeated(std::string(99, 'x') + " \n", kBytes)},
        Case{"brackets that never close", repeated("non-default args: {'speculative_config': {", kBytes)},
        Case{"arguments and brackets", repeated(repeated("non-default args: 'speculative_config': {", 60'000) + "\n", kBytes)}})
    EXPECT_LT(processor_seconds(c.text), 4 * usual) << c.name;
}

TEST(LineFilter, FindsEveryWordAndNoOther) {
  LineFilter filter({"took", "to", "GiB", "", "took", "x"});
  EXPECT_THAT(filter.look("it took 3 GiB"), ::testing::ElementsAre(0U, 1U, 2U, 3U, 4U, 5U)); // too short a word is never ruled out
  EXPECT_THAT(filter.look("to"), ::testing::ElementsAre(1U, 3U, 5U));
  EXPECT_THAT(filter.look("too"), ::testing::ElementsAre(1U, 3U, 5U));
  EXPECT_THAT(filter.look(""), ::testing::ElementsAre(3U, 5U));
  EXPECT_THAT(filter.look("Gi"), ::testing::ElementsAre(3U, 5U));
}

TEST(LogPattern, Matches) {
  struct Case {
    const char* pattern;
    const char* line;
    const char* captured; // joined by |; null: no match
  };
  for (const Case& c :
       {Case{"took {weights_bytes:GiB} GiB", "x took 14.2488 GiB and", "14.2488"}, Case{"took {w:GiB} GiB", "took14.2GiB", "14.2"},
        Case{"took {w:GiB} GiB", "took GiB, took 3 GiB", "3"}, Case{"took {w:GiB} GiB", "took 3 MiB", nullptr},
        Case{"a {x:1}, b {y:1}", "a 1,234, b -5", "1,234|-5"}, Case{"m='{model}'", "m='/with space/x'", "/with space/x"},
        Case{"m={model}", "m=a/b-c.1, n", "a/b-c.1"}, Case{"a {*} b {x:1}", "a anything at all b 7", "7"},
        Case{"a {*} b {x:1}", "a b", nullptr}, Case{"({x:1})", "( 12)", nullptr}, Case{"( {x:1})", "(   12)", "12"},
        Case{"(v{x})", "version (v1.2rc3)", "1.2rc3"}}) {
    const auto pattern = LinePattern::parse(c.pattern, "t");
    ASSERT_TRUE(pattern) << c.pattern;
    const auto found = pattern->match(c.line);
    ASSERT_EQ(found.has_value(), c.captured != nullptr) << c.pattern << " in " << c.line;
    if (!found) continue;
    std::string joined;
    for (const auto& capture : found->captures) joined += (joined.empty() ? "" : "|") + std::string(capture.text);
    EXPECT_EQ(joined, c.captured) << c.pattern;
  }
  for (const char* bad : {"", "{x}", " a", "a {x", "a {x}{y}", "a {x:parsec}"}) EXPECT_FALSE(LinePattern::parse(bad, "t")) << bad;
}

TEST(LineParts, KeepsDictionariesApart) {
  const std::vector<std::string> texts{"'a':", "b=B"};
  const LineParts parts = parts_of_line("x 'a': {'k': 'v}', n: (1)}, b=B(model='m'), k: 2", texts);
  ASSERT_EQ(parts.parts.size(), 2U);
  EXPECT_EQ(parts.parts[0].second, "'k': 'v}', n: (1)");
  EXPECT_EQ(parts.parts[1].second, "model='m'");
  EXPECT_EQ(parts.rest, "x 'a': , b=B, k: 2");
  EXPECT_TRUE(parts_of_line("'a': None, b=None", texts).parts.empty());
  EXPECT_EQ(parts_of_line("'a': {'k': 1", texts).parts.at(0).second, "'k': 1"); // cut off
  EXPECT_TRUE(parts_of_line("'a':", texts).parts.empty());
}

TEST(NearestModels, AreFoundByTheWordsOfAName) {
  const auto nearest = [](const char* called) {
    const auto found = nearest_models(PLIMSOLL_SOURCE_DIR "/core/catalogue", called);
    return found.empty() ? std::string() : found.front();
  };
  EXPECT_EQ(nearest("~/.cache/huggingface/qwen3.6-27b-autoround-int4"), "Qwen/Qwen3.6-27B");
  EXPECT_EQ(nearest("/root/.cache/huggingface/hub/models--openai--gpt-oss-120b/snapshots/0123abcd/"), "openai/gpt-oss-120b");
  EXPECT_EQ(nearest("/models/DeepSeek-V4-Flash"), "deepseek-ai/DeepSeek-V4-Flash");
  EXPECT_EQ(nearest("cyankiwi/Kimi-Linear-48B-A3B-Instruct-AWQ-4bit"), "moonshotai/Kimi-Linear-48B-A3B-Instruct");
  EXPECT_EQ(nearest("/model"), "");
  EXPECT_EQ(nearest(""), "");
  EXPECT_EQ(nearest(std::string(100'000, '/').c_str()), "");
}

TEST(StartRecord, ReadsTheSentenceOfARefusal) {
  const auto start = read_record(R"json({"id": "r", "engine": "vllm (V1)", "model": "a/b", "max_num_seqs": 512, "measured": {},
    "refused": "max_num_seqs (1024) exceeds available Mamba cache blocks (635)"})json",
                                 "f:1", wordings());
  ASSERT_TRUE(start);
  EXPECT_EQ(start->refusal.kind, StartRefusal::kStateBlocks);
  EXPECT_EQ(start->refusal.place, "f:1");
  EXPECT_EQ(start->printed.at("kv_blocks").value, 635);
  EXPECT_EQ(*start->find("max_batch_size"), "512"); // the record's own
  const auto lacking = read_record(R"json({"engine": "vllm", "measured": {"available_kv_gib": -2.14}})json", "f:1", wordings());
  EXPECT_EQ(lacking->refusal.kind, StartRefusal::kNoKvMemory);
  const auto other = read_record(R"json({"engine": "vllm", "refused": "it fell over"})json", "f:1", wordings());
  EXPECT_EQ(other->refusal.kind, StartRefusal::kOutOfMemory);
}

TEST(StartRecord, ReadsFieldsAndNamesWhatIsWrong) {
  const auto start = read_record(
      R"json({"id": "r", "engine": "vllm (V0)", "engine_version": "v0.8.5.post1 (x)", "model": "a/b", "tp": 2, "ep": true, "mla_mode": 2,
    "kv_dtype": "f16/f16", "weight_dtype": "awq", "measured": {"weights_gib": 12.0, "weights_gib_precise": 11.9876, "available_kv_gib": 3.5, "kv_blocks": 7,
    "kv_tokens": null}, "known_outliers": ["kv_blocks"], "unheard_of": {}})json",
      "f:1", wordings());
  ASSERT_TRUE(start) << start.error().message;
  EXPECT_EQ(start->engine, "vllm");
  EXPECT_EQ(start->release, "0.8.5.post1");
  EXPECT_EQ(start->releases, std::vector<std::string>{"0.7.3"});
  EXPECT_FALSE(start->weights_known);
  EXPECT_EQ(*start->find("kv_dtype"), "f16");
  EXPECT_NEAR(start->printed.at("weights_bytes").value, 11.9876 * kGiB, 1);
  EXPECT_NEAR(start->printed.at("available_kv_bytes").step, kGiB / 100, 1); // JSON keeps no trailing zero
  EXPECT_EQ(start->printed.at("kv_blocks").step, 0);
  EXPECT_EQ(start->printed.count("kv_tokens"), 0U);
  for (const auto& [line, problem] :
       {std::pair("[]", "no JSON object"), std::pair("{\"engine\": \"x\"}", "'x' is no known engine"),
        std::pair("{\"engine\": \"vllm\", \"tp\": [1]}", "'tp'"), std::pair("{\"engine\": \"vllm\", \"measured\": 5}", "'measured'"),
        std::pair("{\"engine\": \"vllm\", \"measured\": {\"kv_tokens\": \"many\"}}", "'measured/kv_tokens'"),
        std::pair("{", "no JSON object")}) {
    const auto bad = read_record(line, "f:9", wordings());
    ASSERT_FALSE(bad) << line;
    EXPECT_THAT(bad.error().message, HasSubstr(problem));
    EXPECT_EQ(bad.error().where, "f:9");
  }
}

} // namespace
} // namespace plimsoll
