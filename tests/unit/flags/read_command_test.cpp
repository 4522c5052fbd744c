// Engines' own command lines and files, read: what a plan is asked for, what it leaves out and why, and what is refused.
#include "plimsoll/engine_command.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <sstream>

#include "support/sparse_checkpoint.hpp"

namespace plimsoll {
namespace {

using ::testing::HasSubstr;

const EngineCommandOptions kOfTheTree{PLIMSOLL_SOURCE_DIR "/core/catalogue", ""};

// Words between blanks; '...' is one word.
std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> out;
  std::string word;
  bool quoted = false, has = false;
  for (const char c : line) {
    if (c == '\'') {
      quoted = !quoted;
      has = true;
    } else if (c == ' ' && !quoted) {
      if (has) out.push_back(word);
      word.clear();
      has = false;
    } else {
      word += c;
      has = true;
    }
  }
  if (has) out.push_back(word);
  return out;
}

PlanRequest request_of(const EngineCommand& command) {
  PlanRequest request;
  request.engine = command.engine;
  for (const auto* const list : {&command.assumed, &command.options})
    for (const OptionValue& option : *list) {
      const auto set = set_option(request, option);
      EXPECT_TRUE(set) << option.name << " " << option.value << ": " << (set ? "" : set.error().message);
    }
  return request;
}

struct Line {
  std::string command, model, options, draft = {};
};
void PrintTo(const Line& line, std::ostream* out) { *out << line.command; }

class CommandLines : public ::testing::TestWithParam<Line> {};

TEST_P(CommandLines, SayWhatIsPlanned) {
  const auto command = read_engine_command(words_of(GetParam().command), kOfTheTree);
  ASSERT_TRUE(command) << command.error().message << " (" << command.error().where << ")";
  EXPECT_EQ(command->model, GetParam().model);
  EXPECT_EQ(command->draft, GetParam().draft);
  EXPECT_EQ(options_text(request_of(*command)), GetParam().options);
}

INSTANTIATE_TEST_SUITE_P(
    Vllm, CommandLines,
    ::testing::Values(
        Line{"vllm serve m", "m", "--tp 1 --engine vllm"},
        Line{"vllm serve m -tp 4 -pp=2 --max-model-len 8k", "m", "--tp 4 --pp 2 --engine vllm --max-length 8000"},
        Line{"vllm serve m --max_model_len 1M", "m", "--tp 1 --engine vllm --max-length 1048576"},
        Line{"vllm serve m --max-model-len 25.6k", "m", "--tp 1 --engine vllm --max-length 25600"},
        Line{"vllm serve m --max-model-len -1", "m", "--tp 1 --engine vllm --max-length auto"},
        Line{"vllm serve m --max-model-len auto", "m", "--tp 1 --engine vllm --max-length auto"},
        Line{"vllm serve --model m --gpu-memory-utilization=0.85 --max-num-seqs 64", "m",
             "--tp 1 --engine vllm --max-batch-size 64 --device-memory-utilization 0.85"},
        Line{"/usr/bin/python3.12 -u -m vllm.entrypoints.openai.api_server --model m --max-num-batched-tokens 16k", "m",
             "--tp 1 --engine vllm --max-batch-input-tokens 16000"},
        Line{"vllm serve m -dp 8 --enable-expert-parallel", "m", "--tp 1 --dp 8 --ep 8 --engine vllm"},
        Line{"vllm serve m -tp 2 -dp 4 -ep -dcp 2", "m", "--tp 2 --dp 4 --ep 8 --engine vllm --set engine.decode_context_parallel=2"},
        Line{"vllm serve m --kv-cache-dtype fp8 --block-size 32", "m", "--tp 1 --engine vllm --kv-dtype float8_e4m3fn --page-tokens 32"},
        Line{"vllm serve m --kv-cache-memory-bytes 10G --dtype half", "m",
             "--tp 1 --engine vllm --kv-cache-bytes 10737418240 --dtype float16"},
        Line{"vllm serve m --enforce-eager --no-enable-prefix-caching", "m",
             "--tp 1 --engine vllm --set engine.eager=true --set engine.prefix_caching=false"},
        Line{"vllm serve m --enable-chunked-prefill False", "m", "--tp 1 --engine vllm --set engine.chunked_prefill=false"},
        Line{"vllm serve m --compilation-config '{\"cudagraph_mode\": \"NONE\"}'", "m", "--tp 1 --engine vllm --set engine.eager=true"},
        Line{"vllm serve m -cc.cudagraph_mode=NONE", "m", "--tp 1 --engine vllm --set engine.eager=true"},
        Line{"vllm serve m --speculative-config '{\"method\":\"mtp\",\"num_speculative_tokens\":1}'", "m",
             "--tp 1 --engine vllm --num-draft-tokens 1"},
        Line{"vllm serve m --speculative-config.method ngram --speculative-config.num_speculative_tokens 4", "m", "--tp 1 --engine vllm"},
        Line{"vllm serve m --speculative-config '{\"model\":\"d\",\"num_speculative_tokens\":3}'", "m",
             "--tp 1 --engine vllm --num-draft-tokens 3", "d"},
        Line{"vllm serve m --limit-mm-per-prompt '{\"image\": {\"count\": 2, \"width\": 512}, \"video\": 0}'", "m",
             "--tp 1 --engine vllm --images-per-request 2 --limit-mm-per-prompt video=0"},
        Line{"vllm serve m --limit-mm-per-prompt.image 3", "m", "--tp 1 --engine vllm --images-per-request 3"},
        Line{"vllm serve m --limit-mm-per-prompt image=0", "m", "--tp 1 --engine vllm --limit-mm-per-prompt image=0"},
        Line{"vllm serve m --enable-lora --max-loras 4 --max-lora-rank 64 --lora-modules a=b c=d", "m",
             "--tp 1 --engine vllm --max-loras 4 --max-lora-rank 64"},
        Line{"vllm serve m --max-loras 4", "m", "--tp 1 --engine vllm"},
        Line{"VLLM_PP_LAYER_PARTITION=20,12 VLLM_USE_V2_MODEL_RUNNER=0 vllm serve m -pp 2", "m",
             "--tp 1 --pp 2 --stage-layers 20,12 --engine vllm --set engine.runner=v1"},
        Line{"docker run -e VLLM_ATTENTION_BACKEND=FLASHMLA vllm/vllm-openai:v0.11.0 --model m", "m",
             "--tp 1 --engine vllm@0.11.0 --set engine.attention_backend=FLASHMLA"},
        Line{"env vllm serve m --attention-backend FLASHMLA", "m", "--tp 1 --engine vllm --set engine.attention_backend=FLASHMLA"},
        Line{"docker run --rm --gpus all -p 8000:8000 --ipc=host -e VLLM_USE_V1=1 vllm/vllm-openai:v0.11.0 --model m -tp 2", "m",
             "--tp 2 --engine vllm@0.11.0"},
        Line{"vllm serve m --kv-offloading-size 4", "m", "--tp 1 --engine vllm --kv-offload-bytes 4294967296"},
        Line{"vllm serve m --max-num-seqs 8 --max-num-seqs 16", "m", "--tp 1 --engine vllm --max-batch-size 16"}));

INSTANTIATE_TEST_SUITE_P(
    Sglang, CommandLines,
    ::testing::Values(
        Line{"python -m sglang.launch_server --model-path m --tp 8", "m", "--tp 8 --engine sglang"},
        Line{"sglang serve --model m --tp-size 8 --dp-size 8 --enable-dp-attention", "m", "--tp 1 --dp 8 --engine sglang"},
        Line{"sglang serve --model m --tp 8 --dp 4 --enable-dp-attention --ep 8", "m", "--tp 2 --dp 4 --ep 8 --engine sglang"},
        Line{"sglang serve --model m --tp 2 --dp 4", "m", "--tp 2 --dp 4 --engine sglang --set engine.experts_split_over_dp=false"},
        Line{"sglang serve --model m --context-length 8192 --mem-fraction-static 0.8 --chunked-prefill-size 4096 --max-running-requests 32",
             "m",
             "--tp 1 --engine sglang --max-length 8192 --max-batch-size 32 --max-batch-input-tokens 4096 --device-memory-utilization 0.8"},
        Line{"sglang serve --model m --disable-radix-cache --disable-cuda-graph --kv-cache-dtype fp8_e5m2", "m",
             "--tp 1 --engine sglang --set engine.eager=true --set engine.prefix_caching=false --kv-dtype float8_e5m2"},
        Line{"sglang serve --model m --speculative-algorithm EAGLE --speculative-num-steps 3 --speculative-eagle-topk 1", "m",
             "--tp 1 --engine sglang --num-draft-tokens 4"},
        Line{"sglang serve --model m --speculative-algorithm EAGLE3 --speculative-draft-model-path d --speculative-num-draft-tokens 4", "m",
             "--tp 1 --engine sglang --num-draft-tokens 4", "d"},
        Line{"sglang serve --model m --lora-paths a=b --max-lora-rank 16", "m", "--tp 1 --engine sglang --max-loras 8 --max-lora-rank 16"},
        Line{"sglang serve --model m --disaggregation-mode decode --nnodes 2", "m", "--tp 1 --nodes 2 --engine sglang --phase decode"},
        Line{"docker run --gpus all --shm-size 32g lmsysorg/sglang:v0.5.9-cu129 python3 -m sglang.launch_server --model-path m", "m",
             "--tp 1 --engine sglang@0.5.9"}));

INSTANTIATE_TEST_SUITE_P(
    Others, CommandLines,
    ::testing::Values(
        Line{"trtllm-serve m --tp_size 4 --ep_size 4 --max_seq_len 4096 --max_batch_size 16 --max_num_tokens 2048", "m",
             "--tp 4 --ep 4 --engine tensorrt-llm --max-length 4096 --max-batch-size 16 --max-batch-input-tokens 2048"},
        Line{"trtllm-serve serve m --kv_cache_free_gpu_memory_fraction 0.7", "m",
             "--tp 1 --engine tensorrt-llm --device-memory-utilization 0.7"},
        Line{"llama-server -m m.gguf -c 8192 -ngl 99 -sm row -ts 3,1 -ctk q8_0 -ctv q4_0 -fa off -np 2 -ub 1024 -b 4096", "m.gguf",
             "--split-mode row --tensor-split 3,1 --engine llama.cpp --set engine.flash_attention=false --max-length 8192 "
             "--max-batch-size 2 --max-batch-input-tokens 1024 --kv-dtype q8_0/q4_0"},
        Line{"llama-server -m m.gguf -ctk f16 -c 0 -fa", "m.gguf",
             "--engine llama.cpp --set engine.flash_attention=true --kv-dtype float16"},
        Line{"./llama-cli -m m.gguf --n-cpu-moe 12 -ot 'a=CPU' -ot 'b=CPU' -no-kvu", "m.gguf",
             "--n-cpu-moe 12 --override-tensor a=CPU,b=CPU --engine llama.cpp --set engine.kv_unified=false --max-batch-size 1"},
        Line{"LLAMA_ARG_CTX_SIZE=4096 LLAMA_ARG_CPU_MOE=1 llama-server -m m.gguf --no-mmproj --swa-full", "m.gguf",
             "--n-cpu-moe all --mmproj none --engine llama.cpp --set engine.swa_full=true --max-length 4096"},
        Line{"llama-server -hf org/name-GGUF:Q4_K_M -md d.gguf", "org/name-GGUF", "--engine llama.cpp --num-draft-tokens 16", "d.gguf"},
        Line{"llama-server -m m.gguf -fitt 512", "m.gguf", "--engine llama.cpp --set engine.margin_bytes=536870912"},
        Line{"docker run ghcr.io/ggml-org/llama.cpp:server-cuda-b6900 -m m.gguf", "m.gguf", "--engine llama.cpp@b6900"},
        Line{"max serve --model m --devices gpu:0,1 --max-length 4096 --kv-cache-page-size 256", "m",
             "--tp 2 --max-length 4096 --page-tokens 256"},
        Line{"max serve --model m --devices gpu:0,1,2,3 --data-parallel-degree 2", "m", "--tp 2 --dp 2"},
        Line{"max serve --model m", "m", "--tp 1"}));

INSTANTIATE_TEST_SUITE_P(
    Abbreviations, CommandLines,
    ::testing::Values(Line{"vllm serve m --tensor-parallel 2 --max-model 4096 --gpu_memory 0.8", "m",
                           "--tp 2 --engine vllm --max-length 4096 --device-memory-utilization 0.8"},
                      Line{"vllm serve m --no-enable-prefix", "m", "--tp 1 --engine vllm --set engine.prefix_caching=false"},
                      Line{"vllm serve m --enable-prefix", "m", "--tp 1 --engine vllm --set engine.prefix_caching=true"},
                      Line{"sglang serve --model-p m --mem-fraction 0.8 --context-len 4096", "m",
                           "--tp 1 --engine sglang --max-length 4096 --device-memory-utilization 0.8"}));

struct Left {
  std::string command;
  WarningCode code;
  std::string message;
};
void PrintTo(const Left& left, std::ostream* out) { *out << left.command; }

class LeftOut : public ::testing::TestWithParam<Left> {};

TEST_P(LeftOut, IsSaid) {
  const auto command = read_engine_command(words_of(GetParam().command), kOfTheTree);
  ASSERT_TRUE(command) << command.error().message;
  bool found = false;
  for (const Warning& warning : command->warnings)
    found = found || (warning.code == GetParam().code && warning.message.find(GetParam().message) != std::string::npos);
  EXPECT_TRUE(found) << (command->warnings.empty() ? "nothing" : command->warnings.front().message);
}

INSTANTIATE_TEST_SUITE_P(
    Flags, LeftOut,
    ::testing::Values(
        Left{"vllm serve m --port 8000 --host ::", WarningCode::kFlagIgnored, "--port, --host (where and how it is served"},
        Left{"vllm serve m --quantization fp8", WarningCode::kFlagIgnored, "as the checkpoint stores them"},
        Left{"vllm serve m --hf-overrides '{\"a\": 1}'", WarningCode::kFlagNotPlanned, "the plan may be short"},
        Left{"vllm serve m --kv-cache-dtype turboquant_k8v4", WarningCode::kFlagNotPlanned, "--kv-cache-dtype turboquant_k8v4"},
        Left{"vllm serve m --frobnicate 7 --port 1", WarningCode::kFlagUnknown, "--frobnicate is no flag of vllm that is known"},
        Left{"vllm serve m --max 7", WarningCode::kFlagUnknown, "--max is no flag of vllm that is known"},
        Left{"trtllm-serve m --max_batch 7", WarningCode::kFlagUnknown, "--max_batch is no flag"},
        Left{"vllm serve m --max-model-leng 7", WarningCode::kFlagUnknown, "unless it is --max-model-len"},
        Left{"vllm serve m --speculative-config '{\"method\":\"ngram\",\"shoe_size\":9}'", WarningCode::kFlagUnknown,
             "shoe_size of --speculative-config"},
        Left{"VLLM_SHOE_SIZE=9 vllm serve m", WarningCode::kFlagUnknown, "VLLM_SHOE_SIZE is no variable"},
        Left{"SHOE_SIZE=9 CUDA_VISIBLE_DEVICES=0 vllm serve m", WarningCode::kFlagIgnored,
             "CUDA_VISIBLE_DEVICES (the devices are those of --devices)"},
        Left{"vllm serve m --max-num-seqs 8 --max-num-seqs 9", WarningCode::kFlagIgnored, "the last one counts"},
        Left{"docker run vllm/vllm-openai:v0.9.0 --model m --kv-cache-memory-bytes 1G", WarningCode::kFlagUnknown, "it came with 0.11.0"},
        Left{"VLLM_ATTENTION_BACKEND=FLASHMLA vllm serve m", WarningCode::kFlagUnknown, "it went with 0.15.0"},
        Left{"sglang serve --model m --moe-a2a-backend deepep", WarningCode::kFlagNotPlanned, "--moe-a2a-backend"},
        Left{"llama-server -hf a/b:Q8_0", WarningCode::kFlagNotPlanned, "the choice of Q8_0"},
        Left{"trtllm-serve m --backend tensorrt", WarningCode::kFlagNotPlanned, "the PyTorch backend is planned"}));

TEST(LeftOutOf, WhatChangesNothingIsNotMentioned) {
  for (const char* const line :
       {"vllm serve m --kv-cache-dtype auto", "sglang serve --model m --moe-a2a-backend none --attention-backend fa3",
        "trtllm-serve m --max_beam_width 1", "vllm serve m --no-enable-dbo"})
    EXPECT_TRUE(read_engine_command(words_of(line), kOfTheTree)->warnings.empty()) << line;
}

struct Refused {
  std::string command, where, message;
};
void PrintTo(const Refused& refused, std::ostream* out) { *out << refused.command; }

class RefusedCommands : public ::testing::TestWithParam<Refused> {};

TEST_P(RefusedCommands, NameTheFlag) {
  const auto command = read_engine_command(words_of(GetParam().command), kOfTheTree);
  ASSERT_FALSE(command);
  EXPECT_EQ(command.error().code, ErrorCode::kBadRequest);
  EXPECT_EQ(command.error().where, GetParam().where);
  EXPECT_THAT(command.error().message, HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Lines, RefusedCommands,
    ::testing::Values(Refused{"", "the command behind --", "no command"},
                      Refused{"vlm serve m", "the command behind --", "did you mean vllm serve"},
                      Refused{"bash -c true", "the command behind --", "'bash' starts no engine"},
                      Refused{"docker run --gpus", "the command behind --", "has no value"},
                      Refused{"docker run nginx:1", "the command behind --", "'nginx' is no image"},
                      Refused{"vllm serve m x", "x", "'x' belongs to no flag, and the model is m"},
                      Refused{"vllm serve m --max-model-len", "--max-model-len", "has no value"},
                      Refused{"vllm serve m --max-model-len ten", "--max-model-len", "'ten' is no number"},
                      Refused{"vllm serve m --max-model-len 1.5K", "--max-model-len", "takes no decimals"},
                      Refused{"vllm serve m --max-model-len 1.5", "--max-model-len", "is no number"},
                      Refused{"vllm serve m --max-model-len 1e99k", "--max-model-len", "is no number"},
                      Refused{"vllm serve m --enforce-eager=maybe", "--enforce-eager", "is not true or false"},
                      Refused{"vllm serve m --speculative-config eagle", "--speculative-config", "is no JSON object"},
                      Refused{"vllm serve m --speculative-config '{\"method\": '", "--speculative-config", ""},
                      Refused{"vllm serve m --speculative-config '{\"method\": \"eagle\"}'", "--speculative-config method",
                              "how many tokens"},
                      Refused{"vllm serve m -tp 0", "-tp", "is not a whole number from 1"},
                      Refused{"sglang serve --model m --tp 8 --dp 3 --enable-dp-attention", "--enable-dp-attention", "not shared evenly"},
                      Refused{"max serve --model m --devices cpu", "--devices", "is no list of GPUs"},
                      Refused{"max serve --model m --devices gpu:0,1,2 --data-parallel-degree 2", "--devices", "not shared evenly"}));

TEST(EngineOfACommand, IsNotAnother) {
  EngineCommandOptions options = kOfTheTree;
  options.engine = "sglang";
  const auto command = read_engine_command(words_of("vllm serve m"), options);
  ASSERT_FALSE(command);
  EXPECT_EQ(command.error().where, "--engine");
  options.engine = "VLLM@0.11.0";
  EXPECT_EQ(read_engine_command(words_of("vllm serve m"), options)->engine, "vllm@0.11.0");
}

class EngineFiles : public ::testing::Test {
protected:
  Result<std::optional<EngineCommand>> read(const std::string& text, const std::string& engine = "") {
    std::ofstream(file_) << text;
    return read_engine_file(file_, {kOfTheTree.catalogue_path, engine});
  }
  std::string options(const std::string& text, const std::string& engine = "") {
    const auto command = read(text, engine);
    if (!command) return command.error().message + " (" + command.error().where + ")";
    return *command ? (*command)->model + " " + options_text(request_of(**command)) : "ours";
  }
  test::TemporaryDirectory folder_;
  std::string file_ = folder_ / "serve.yml";
};

TEST_F(EngineFiles, AreRecognisedByTheirKeys) {
  EXPECT_EQ(options("model: m\ntensor-parallel-size: 2\nmax-model-len: 8k\nenforce-eager: true\n"),
            "m --tp 2 --engine vllm --set engine.eager=true --max-length 8000");
  EXPECT_EQ(options("model-path: m\ntp-size: 4\ncontext-length: 4096\nmem-fraction-static: 0.8\n"),
            "m --tp 4 --engine sglang --max-length 4096 --device-memory-utilization 0.8");
  EXPECT_EQ(options("tensor_parallel_size: 2\nkv_cache_config: {dtype: fp8, free_gpu_memory_fraction: 0.8, tokens_per_block: 64}\n"
                    "speculative_config: {decoding_type: MTP, num_nextn_predict_layers: 2}\nenable_attention_dp: true\n"),
            " --tp 1 --dp 2 --engine tensorrt-llm --device-memory-utilization 0.8 --kv-dtype float8_e4m3fn --page-tokens 64 "
            "--num-draft-tokens 2");
  EXPECT_EQ(options("tp: 2\nmax_length: 4096\n"), "ours");
  EXPECT_EQ(options("tp: 2\nmax_lenght: 4096\n"), "ours");
  EXPECT_EQ(options("one: 2\ntwo: 4096\n"), "ours");
}

TEST_F(EngineFiles, MayNeedTheEnginesName) {
  EXPECT_THAT(options("tensor_parallel_size: 2\n"), HasSubstr("are sglang, tensorrt-llm or vllm's alike; say which with --engine"));
  EXPECT_EQ(options("tensor_parallel_size: 2\n", "trtllm"), " --tp 2 --engine tensorrt-llm");
  EXPECT_EQ(options("tensor_parallel_size: 2\n", "vllm@0.11.0"), " --tp 2 --engine vllm@0.11.0");
}

TEST_F(EngineFiles, NameTheLine) {
  for (const auto& [text, place, message] : std::vector<std::tuple<std::string, std::string, std::string>>{
           {"tensor-parallel-size: 2\nmax-model-len: many\n", ":2", "'many' is no number"},
           {"block-size: 16\nspeculative-config: 7\n", ":2", "keys and values were expected"},
           {"tensor-parallel-size: {a: 1}\nmax-model-len: 5\n", ":1", ""},
           {"- a\n", ":1", "a map of keys and values"}}) {
    const auto command = read(text);
    ASSERT_FALSE(command) << text;
    EXPECT_EQ(command.error().where, file_ + place) << text;
    EXPECT_THAT(command.error().message, HasSubstr(message));
  }
}

TEST_F(EngineFiles, OfACommandLoseOrWinAsTheEngineHasIt) {
  std::ofstream(file_) << "tensor-parallel-size: 4\nmax-model-len: 4096\nmodel: m\n";
  const auto vllm = read_engine_command(words_of("vllm serve --config " + file_ + " -tp 2"), kOfTheTree);
  ASSERT_TRUE(vllm) << vllm.error().message;
  EXPECT_EQ(vllm->model, "m");
  EXPECT_EQ(options_text(request_of(*vllm)), "--tp 2 --engine vllm --max-length 4096");
  std::ofstream(file_) << "max_seq_len: 4096\nkv_cache_config:\n  dtype: fp8\n";
  const auto trt = read_engine_command(words_of("trtllm-serve m --max_seq_len 8192 --extra_llm_api_options " + file_), kOfTheTree);
  ASSERT_TRUE(trt) << trt.error().message;
  EXPECT_EQ(options_text(request_of(*trt)), "--tp 1 --engine tensorrt-llm --max-length 4096 --kv-dtype float8_e4m3fn");
  const auto none = read_engine_command(words_of("vllm serve m --config /nowhere.yml"), kOfTheTree);
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().where, HasSubstr("/nowhere.yml"));
}

TEST(UnknownOptions, HaveAHint) {
  const std::vector<std::string> known{"--max-length", "--tp"};
  EXPECT_EQ(about_unknown_option("--max-model-len", known, kOfTheTree), "it is --max-length here");
  EXPECT_EQ(about_unknown_option("-tp", known, kOfTheTree), "it is --tp here");
  EXPECT_EQ(about_unknown_option("--max-lenght", known, kOfTheTree), "did you mean --max-length?");
  EXPECT_THAT(about_unknown_option("--uvicorn-log-level", known, kOfTheTree), HasSubstr("it is a flag of vllm"));
  EXPECT_EQ(about_unknown_option("--zzzzzz", known, kOfTheTree), "");
}

} // namespace
} // namespace plimsoll
