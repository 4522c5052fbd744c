// Plans as commands and deployments: what is written is read back as the same plan, files have the shape that their readers want, and no
// name of a model breaks out of its quotes.
#include "plimsoll/emit.hpp"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <sstream>
#include <yaml-cpp/yaml.h>

#include "emit/compose.hpp"
#include "emit/kubernetes.hpp"
#include "emit/ray.hpp"
#include "emit/shell_command.hpp"
#include "plimsoll/engine_command.hpp"
#include "plimsoll/options.hpp"
#include "support/built_context.hpp"
#include "support/sparse_checkpoint.hpp"
#include "support/tiny_gguf.hpp"
#include "support/tiny_model.hpp"

namespace plimsoll {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A request out of "--name value" pairs.
PlanRequest request_of(const std::string& options) {
  PlanRequest request;
  std::istringstream words(options);
  std::string name, value;
  while (words >> name) {
    const bool is_switch = name == "--enforce-eager" || name == "--language-model-only";
    if (is_switch) value = "true";
    else words >> value;
    const auto set = set_option(request, {name.substr(2), value, name});
    EXPECT_TRUE(set) << name << " " << value << ": " << (set ? "" : set.error().message);
  }
  return request;
}

// The words of a command as a shell takes them; what it writes to a file first is put into `folder`.
std::vector<std::string> shell_words(const std::string& text, const std::string& folder) {
  std::istringstream lines(text);
  std::string line, command, file, path;
  while (std::getline(lines, line)) {
    if (line.starts_with("#")) continue;
    if (line.starts_with("cat > ")) {
      path = folder + "/" + line.substr(6, line.find(" <<") - 6);
      std::ofstream out(path);
      while (std::getline(lines, line) && line != "EOF") out << line << "\n";
      continue;
    }
    command += line.ends_with("\\") ? line.substr(0, line.size() - 1) : line;
  }
  std::vector<std::string> out;
  std::string word;
  bool quoted = false, has = false;
  for (std::size_t at = 0; at < command.size(); ++at) {
    const char c = command[at];
    if (c == '\'') {
      quoted = !quoted;
      has = true;
    } else if (c == '\\' && !quoted) {
      word += command[++at];
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
  for (std::string& each : out)
    if (each == "engine.yaml") each = path;
  return out;
}

std::string figures(Plan plan) {
  plan.warnings.clear();
  plan.advice.clear();
  plan.request.engine_overrides.clear();         // eager and enforce_eager are one
  plan.kv_cache.needed_bytes_per_device.reset(); // said where length and batch are, as they are in what is written
  return plan_to_json(plan);
}

struct Case {
  std::string model, options;
};
void PrintTo(const Case& one, std::ostream* out) { *out << one.model << " " << one.options; }

class RoundTripsOfFiles : public ::testing::Test {
protected:
  test::TemporaryDirectory folder_;
};

class RoundTrips : public RoundTripsOfFiles, public ::testing::WithParamInterface<Case> {};

TEST_P(RoundTrips, TheCommandIsReadBackAsTheSamePlan) {
  const Context& context = test::built_context();
  const Model model = context.load(GetParam().model).value();
  const PlanRequest request = request_of(GetParam().options);
  const auto plan = context.plan(model, request);
  ASSERT_TRUE(plan) << plan.error().message;
  ASSERT_FALSE(plan->error) << plan->error->message;
  const auto emitted = emit(context, model, request, *plan, EmitTarget::kCommand);
  ASSERT_TRUE(emitted) << emitted.error().message;
  EXPECT_TRUE(emitted->unsaid.empty()) << emitted->unsaid.front();
  const auto command = read_engine_command(shell_words(emitted->text, folder_.path()),
                                           {context.catalogue_path(), plan->engine.name + "@" + plan->engine.version});
  ASSERT_TRUE(command) << command.error().message << "\n" << emitted->text;
  for (const Warning& warning : command->warnings) EXPECT_EQ(warning.code, WarningCode::kFlagIgnored) << warning.message;
  EXPECT_EQ(command->model, GetParam().model);
  PlanRequest again;
  again.engine = request.engine; // not its release, where none was asked for
  for (const auto* const list : {&command->assumed, &command->options})
    for (const OptionValue& option : *list) ASSERT_TRUE(set_option(again, option)) << option.where << " " << option.value;
  again.devices = request.devices;
  again.nodes = request.nodes;
  if (!command->draft.empty()) again.draft = context.load(command->draft).value();
  const auto same = context.plan(model, again);
  ASSERT_TRUE(same) << same.error().message << "\n" << emitted->text;
  EXPECT_EQ(figures(*same), figures(*plan)) << emitted->text;
}

INSTANTIATE_TEST_SUITE_P(
    Vllm, RoundTrips,
    ::testing::Values(
        Case{"meta-llama/Llama-3.1-8B", "--engine vllm --devices 1xH100"},
        Case{"meta-llama/Llama-3.1-8B", "--engine vllm@0.11.0 --devices 2xL40S --max-length auto"},
        Case{"meta-llama/Llama-3.1-70B", "--engine vllm --devices 4xH100 --pp 2 --tp 2 --stage-layers 42,38"},
        Case{"Qwen/Qwen3-30B-A3B", "--engine vllm --devices 4xH100 --tp 2 --dp 2 --ep 4 --kv-dtype fp8"},
        Case{"Qwen/Qwen3-32B",
             "--engine vllm --devices 2xA100 --max-length 8192 --max-batch-size 32 --device-memory-utilization 0.85 --enforce-eager"},
        Case{"deepseek-ai/DeepSeek-V3", "--engine vllm --devices 8xH200 --num-draft-tokens 1 --max-length 16384"},
        Case{"Qwen/Qwen3-Next-80B-A3B-Instruct", "--engine vllm --devices 4xH200 --max-batch-size 256"},
        Case{"Qwen/Qwen2-VL-2B-Instruct", "--engine vllm --devices 1xL4 --limit-mm-per-prompt image=2,video=0"},
        Case{"meta-llama/Llama-3.1-8B", "--engine vllm --devices 1xH100 --max-loras 4 --max-lora-rank 32 --kv-cache-bytes 20GiB"},
        Case{"meta-llama/Llama-3.1-8B",
             "--engine vllm --devices 1xH100 --set engine.enable_prefix_caching=false --num-gpu-blocks-override 8192"}));

INSTANTIATE_TEST_SUITE_P(
    Sglang, RoundTrips,
    ::testing::Values(Case{"meta-llama/Llama-3.1-8B", "--engine sglang --devices 1xH100"},
                      Case{"deepseek-ai/DeepSeek-V3", "--engine sglang --devices 8xH200 --tp 1 --dp 8 --ep 8"},
                      Case{"Qwen/Qwen3-30B-A3B", "--engine sglang --devices 4xH100 --tp 2 --dp 2"},
                      Case{"Qwen/Qwen3-30B-A3B", "--engine sglang --devices 4xH100 --tp 2 --dp 2 --set engine.experts_split_over_dp=false"},
                      Case{"meta-llama/Llama-3.1-8B", "--engine sglang@0.5.3 --devices 4xL40S --tp 2 --dp 2 --max-length 8192"},
                      Case{"Qwen/Qwen3-Next-80B-A3B-Instruct", "--engine sglang --devices 4xH200 --set engine.state_dtype=bfloat16"},
                      Case{"Qwen/Qwen3-32B", "--engine sglang --devices 2xH100 --kv-dtype fp8 --set engine.disable_cuda_graph=true"},
                      Case{"deepseek-ai/DeepSeek-V3", "--engine sglang --devices 8xH200 --num-draft-tokens 4"}));

INSTANTIATE_TEST_SUITE_P(
    Others, RoundTrips,
    ::testing::Values(Case{"meta-llama/Llama-3.1-8B", "--engine tensorrt-llm --devices 1xH100"},
                      Case{"meta-llama/Llama-3.1-70B", "--engine tensorrt-llm --devices 4xH100 --kv-dtype fp8 --page-tokens 64"},
                      Case{"Qwen/Qwen3-30B-A3B", "--engine tensorrt-llm --devices 4xH100 --ep 4 --max-length 8192"},
                      Case{"meta-llama/Llama-3.1-8B", "--engine max --devices 1xH100"},
                      Case{"meta-llama/Llama-3.1-8B", "--engine max --devices 2xH100 --max-length auto --page-tokens 256"},
                      Case{"deepseek-ai/DeepSeek-V3", "--engine max --devices 8xH200 --tp 1 --dp 8 --ep 8"}));

TEST_F(RoundTripsOfFiles, OfLlamaCpp) {
  const std::string file = folder_ / "model.gguf";
  test::write_tiny_gguf(test::tiny_model("llama"), file);
  const Context& context = test::built_context();
  const Model model = context.load(file).value();
  for (const std::string options :
       {"--devices RTX-3090", "--devices 2xRTX-3090 --kv-dtype q8_0/q4_0 --max-length 64",
        "--devices RTX-3090 --gpu-layers auto --sequences 2 --ubatch 128", "--devices 2xRTX-3090 --split-mode row --tensor-split 3,1",
        "--devices RTX-3090 --set engine.swa_full=true --set engine.flash_attention=false --gpu-layers 1"}) {
    const PlanRequest request = request_of("--engine llama.cpp " + options);
    const auto plan = context.plan(model, request);
    ASSERT_TRUE(plan) << options << ": " << plan.error().message;
    const auto emitted = emit(context, model, request, *plan, EmitTarget::kCommand);
    ASSERT_TRUE(emitted) << options << ": " << emitted.error().message;
    EXPECT_TRUE(emitted->unsaid.empty()) << options;
    const auto command = read_engine_command(shell_words(emitted->text, folder_.path()), {context.catalogue_path(), ""});
    ASSERT_TRUE(command) << command.error().message;
    EXPECT_EQ(command->model, file);
    PlanRequest again;
    again.engine = "llama.cpp";
    again.devices = request.devices;
    for (const OptionValue& option : command->options) ASSERT_TRUE(set_option(again, option)) << option.where << " " << option.value;
    EXPECT_EQ(figures(context.plan(model, again).value()), figures(*plan)) << emitted->text;
  }
}

Emitted emitted_of(const std::string& name, const std::string& options, EmitTarget target) {
  const Context& context = test::built_context();
  const Model model = context.load(name).value();
  const PlanRequest request = request_of(options);
  return emit(context, model, request, context.plan(model, request).value(), target).value();
}

TEST(EmitCommand, IsPastedAsItIs) {
  EXPECT_EQ(
      emitted_of("meta-llama/Llama-3.1-8B", "--engine vllm@0.11.0 --devices 2xH100 --max-length 8192 --enforce-eager", EmitTarget::kCommand)
          .text,
      "# meta-llama/Llama-3.1-8B by vllm 0.11.0 on 2 H100: fits\n"
      "# weights 7.48 GiB, KV cache 58.55 GiB for 959280 tokens on the first device\n"
      "# --tensor-parallel-size 2: devices that share every layer\n"
      "# --enforce-eager: a value of the engine's profile, as asked for\n"
      "# --max-model-len 8192: tokens of one request, as asked for\n"
      "# --max-num-seqs 1024: requests at once, the engine's own, made explicit\n"
      "# --max-num-batched-tokens 8192: tokens of one forward pass, the engine's own, made explicit\n"
      "# --gpu-memory-utilization 0.9: share of a device's memory, the engine's own, made explicit\n"
      "vllm serve \\\n"
      "  meta-llama/Llama-3.1-8B \\\n"
      "  --tensor-parallel-size 2 \\\n"
      "  --enforce-eager \\\n"
      "  --max-model-len 8192 \\\n"
      "  --max-num-seqs 1024 \\\n"
      "  --max-num-batched-tokens 8192 \\\n"
      "  --gpu-memory-utilization 0.9\n");
}

TEST(EmitCommand, SaysWhatNoFlagSays) {
  const Emitted emitted =
      emitted_of("meta-llama/Llama-3.1-8B", "--engine vllm --devices 1xH100 --weights-bytes 10GiB", EmitTarget::kCommand);
  ASSERT_EQ(emitted.unsaid.size(), 1U);
  EXPECT_THAT(emitted.unsaid.front(), HasSubstr("no flag for weights_bytes"));
  EXPECT_THAT(emitted.text, HasSubstr("# planned with weights_bytes 10737418240, for which vllm has no flag\n"));
}

// What the schemas of Kubernetes want of these objects, in our own words: key, and what stands there.
struct Fact {
  std::string path, kind; // of the value: map, list, text, number
};

YAML::Node at(YAML::Node node, const std::string& path) {
  std::istringstream parts(path);
  std::string part;
  while (std::getline(parts, part, '/')) {
    if (!node.IsDefined()) return YAML::Node(YAML::NodeType::Undefined);
    const YAML::Node& parent = node;
    YAML::Node next = part == "0" ? parent[0] : parent[part];
    node.reset(next);
  }
  return node;
}

void expect_facts(const YAML::Node& document, const std::vector<Fact>& facts) {
  for (const Fact& fact : facts) {
    const YAML::Node node = at(YAML::Clone(document), fact.path);
    ASSERT_TRUE(node.IsDefined()) << fact.path;
    if (fact.kind == "map") {
      EXPECT_TRUE(node.IsMap()) << fact.path;
    }
    if (fact.kind == "list") {
      EXPECT_TRUE(node.IsSequence()) << fact.path;
    }
    if (fact.kind == "text") {
      EXPECT_EQ(node.Tag(), "!") << fact.path; // in quotes: a text whatever it says
    }
    if (fact.kind == "number") {
      EXPECT_NO_THROW(node.as<std::uint64_t>()) << fact.path;
    }
  }
}

const std::string kPod = "spec/template/spec/";

TEST(EmitKubernetes, IsADeploymentAndItsService) {
  const std::vector<YAML::Node> documents =
      YAML::LoadAll(emitted_of("meta-llama/Llama-3.1-8B", "--engine vllm --devices 2xH100", EmitTarget::kKubernetes).text);
  ASSERT_EQ(documents.size(), 2U);
  const YAML::Node& deployment = documents[0];
  EXPECT_EQ(deployment["apiVersion"].Scalar(), "apps/v1");
  EXPECT_EQ(deployment["kind"].Scalar(), "Deployment");
  expect_facts(deployment, {{"metadata/name", "text"},
                            {"spec/replicas", "number"},
                            {"spec/selector/matchLabels", "map"},
                            {"spec/template/metadata/labels", "map"},
                            {kPod + "containers", "list"},
                            {kPod + "containers/0/name", "text"},
                            {kPod + "containers/0/image", "text"},
                            {kPod + "containers/0/command", "list"},
                            {kPod + "containers/0/args", "list"},
                            {kPod + "containers/0/ports/0/containerPort", "number"},
                            {kPod + "containers/0/readinessProbe/httpGet/path", "text"},
                            {kPod + "containers/0/readinessProbe/httpGet/port", "number"},
                            {kPod + "containers/0/resources/limits", "map"},
                            {kPod + "containers/0/volumeMounts/0/mountPath", "text"},
                            {kPod + "volumes/0/emptyDir/medium", "text"},
                            {kPod + "volumes/0/emptyDir/sizeLimit", "text"}});
  EXPECT_EQ(YAML::Dump(deployment["spec"]["selector"]["matchLabels"]), YAML::Dump(deployment["spec"]["template"]["metadata"]["labels"]));
  const YAML::Node pod = deployment["spec"]["template"]["spec"], container = pod["containers"][0];
  EXPECT_EQ(pod["nodeSelector"]["nvidia.com/gpu.product"].Scalar(), "NVIDIA-H100-80GB-HBM3");
  EXPECT_EQ(container["resources"]["limits"]["nvidia.com/gpu"].as<int>(), 2);
  EXPECT_EQ(container["volumeMounts"][0]["mountPath"].Scalar(), "/dev/shm");
  EXPECT_EQ(pod["volumes"][0]["emptyDir"]["medium"].Scalar(), "Memory");
  for (const auto& word : container["args"]) EXPECT_EQ(word.Tag(), "!") << word.Scalar();
  const YAML::Node& service = documents[1];
  EXPECT_EQ(service["kind"].Scalar(), "Service");
  EXPECT_EQ(YAML::Dump(service["spec"]["selector"]), YAML::Dump(deployment["spec"]["selector"]["matchLabels"]));
  EXPECT_EQ(service["spec"]["ports"][0]["port"].as<int>(), 8000);
}

TEST(EmitKubernetes, IsAGroupOverSeveralNodes) {
  const std::vector<YAML::Node> documents =
      YAML::LoadAll(emitted_of("meta-llama/Llama-3.1-70B", "--engine vllm --devices 2x4xH100 --pp 2", EmitTarget::kKubernetes).text);
  const YAML::Node set = documents.at(0), group = set["spec"]["leaderWorkerTemplate"];
  EXPECT_EQ(set["apiVersion"].Scalar(), "leaderworkerset.x-k8s.io/v1");
  EXPECT_EQ(set["kind"].Scalar(), "LeaderWorkerSet");
  EXPECT_EQ(group["size"].as<int>(), 2);
  expect_facts(set, {{"spec/leaderWorkerTemplate/leaderTemplate/spec/containers", "list"},
                     {"spec/leaderWorkerTemplate/workerTemplate/spec/containers", "list"},
                     {"spec/leaderWorkerTemplate/restartPolicy", "text"}});
  const YAML::Node worker = group["workerTemplate"]["spec"]["containers"][0];
  EXPECT_EQ(worker["resources"]["limits"]["nvidia.com/gpu"].as<int>(), 4);
  EXPECT_EQ(worker["args"][worker["args"].size() - 1].Scalar(), "--headless");
  EXPECT_FALSE(worker["readinessProbe"].IsDefined());
  EXPECT_THAT(YAML::Dump(worker["args"]), HasSubstr("$(LWS_LEADER_ADDRESS)"));
}

TEST(EmitKubernetes, MountsTheFileOfSettings) {
  const std::vector<YAML::Node> documents = YAML::LoadAll(
      emitted_of("meta-llama/Llama-3.1-8B", "--engine tensorrt-llm --devices 1xH100 --kv-dtype fp8", EmitTarget::kKubernetes).text);
  ASSERT_EQ(documents.size(), 3U);
  EXPECT_EQ(documents[0]["kind"].Scalar(), "ConfigMap");
  EXPECT_EQ(YAML::Load(documents[0]["data"]["engine.yaml"].Scalar())["kv_cache_config"]["dtype"].Scalar(), "fp8");
  EXPECT_THAT(YAML::Dump(documents[1]), HasSubstr("/etc/engine/engine.yaml"));
}

TEST(EmitKubernetes, AsksForTheMakersDevices) {
  const std::string text = emitted_of("meta-llama/Llama-3.1-8B", "--engine vllm --devices 1xMI300X", EmitTarget::kKubernetes).text;
  EXPECT_THAT(text, HasSubstr("amd.com/gpu: 1"));
  EXPECT_THAT(text, HasSubstr("amd.com/gpu.product-name: \"AMD_Instinct_MI300X_OAM\""));
  EXPECT_THAT(text, HasSubstr("vllm/vllm-openai-rocm:v"));
}

TEST(EmitKubernetes, SaysWhereTheMakerIsNotKnown) {
  const std::string text = emitted_of("meta-llama/Llama-3.1-8B", "--engine vllm --devices 2x80GiB", EmitTarget::kKubernetes).text;
  EXPECT_THAT(text, HasSubstr("# whose devices they are is not known: those of NVIDIA are taken\n"));
  EXPECT_THAT(text, Not(HasSubstr("nodeSelector")));
}

TEST(EmitCompose, ReservesTheDevices) {
  const YAML::Node document =
      YAML::Load(emitted_of("meta-llama/Llama-3.1-8B", "--engine sglang --devices 2xH100", EmitTarget::kCompose).text);
  const YAML::Node service = document["services"]["sglang-llama-3-1-8b"];
  ASSERT_TRUE(service.IsMap());
  expect_facts(service, {{"image", "text"},
                         {"entrypoint", "list"},
                         {"command", "list"},
                         {"ports", "list"},
                         {"ipc", "text"},
                         {"shm_size", "text"},
                         {"deploy/resources/reservations/devices/0/capabilities", "list"},
                         {"deploy/resources/reservations/devices/0/driver", "text"},
                         {"deploy/resources/reservations/devices/0/count", "number"}});
  EXPECT_EQ(service["deploy"]["resources"]["reservations"]["devices"][0]["count"].as<int>(), 2);
}

TEST(EmitRay, HasABundleForEveryRank) {
  const YAML::Node document =
      YAML::Load(emitted_of("meta-llama/Llama-3.1-8B", "--engine vllm --devices 4xL4 --dp 2 --max-length 8192", EmitTarget::kRay).text);
  const YAML::Node application = document["applications"][0], config = application["args"]["llm_configs"][0];
  EXPECT_EQ(application["import_path"].Scalar(), "ray.serve.llm:build_openai_app");
  EXPECT_EQ(config["accelerator_type"].Scalar(), "L4");
  EXPECT_EQ(config["deployment_config"]["num_replicas"].as<int>(), 2);
  EXPECT_EQ(config["placement_group_config"]["bundles"].size(), 2U);
  EXPECT_EQ(config["placement_group_config"]["strategy"].Scalar(), "STRICT_PACK");
  EXPECT_EQ(config["engine_kwargs"]["tensor_parallel_size"].as<int>(), 2);
  EXPECT_EQ(config["engine_kwargs"]["max_model_len"].as<int>(), 8192);
  EXPECT_FALSE(config["engine_kwargs"]["data_parallel_size"].IsDefined());
}

struct Refusal {
  std::string options;
  EmitTarget target;
  std::string where, message;
};
void PrintTo(const Refusal& refusal, std::ostream* out) { *out << refusal.options; }

class RefusedEmissions : public ::testing::TestWithParam<Refusal> {};

TEST_P(RefusedEmissions, SayWhatToDo) {
  const Context& context = test::built_context();
  const Model model = context.load("meta-llama/Llama-3.1-8B").value();
  const PlanRequest request = request_of(GetParam().options);
  const auto plan = context.plan(model, request);
  ASSERT_TRUE(plan) << plan.error().message;
  const auto emitted = emit(context, model, request, *plan, GetParam().target);
  ASSERT_FALSE(emitted);
  EXPECT_THAT(emitted.error().where, HasSubstr(GetParam().where));
  EXPECT_THAT(emitted.error().message, HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Plans, RefusedEmissions,
    ::testing::Values(Refusal{"--engine vllm --devices 8GiB", EmitTarget::kCommand, "", "short"},
                      Refusal{"--engine reference --devices 1xH100 --max-length 4096 --max-batch-size 2", EmitTarget::kCommand, "--engine",
                              "how reference is started is not known"},
                      Refusal{"--engine llama.cpp --devices 1xH100", EmitTarget::kCommand, "MODEL", "loads a GGUF file"},
                      Refusal{"--engine sglang --devices 2xH100", EmitTarget::kRay, "--emit ray", "Ray Serve runs vLLM"},
                      Refusal{"--engine max --devices 2x2xH100", EmitTarget::kKubernetes, "--emit k8s", "on several nodes is not known"},
                      Refusal{"--engine vllm@0.11.0 --devices 2x2xH100", EmitTarget::kKubernetes, "--emit k8s",
                              "0.11.0 is started on several nodes"},
                      Refusal{"--engine vllm --devices 2x2xH100", EmitTarget::kCompose, "--emit compose", "on one machine"},
                      Refusal{"--engine tensorrt-llm --devices 4xH100 --tp 2 --dp 2", EmitTarget::kCommand, "--dp",
                              "repeats the attention on all ranks or on none"},
                      Refusal{"--engine max --accounting pooled --devices 1xH100", EmitTarget::kCommand, "--accounting", "pooled"},
                      Refusal{"--engine sglang --devices Apple-128GB", EmitTarget::kCompose, "--emit", "no image of sglang for apple"}));

// Names of models are words of strangers.
TEST(Hostile, NamesStayInTheirQuotes) {
  const FlagTable table = read_flag_table(PLIMSOLL_SOURCE_DIR "/core/catalogue", "vllm").value();
  for (const std::string name :
       {"a'; rm -rf ~; '", "a\"\nb: [", "$(reboot) ${HOME} $$", "a\\\nEOF\n", "x: y # z", "true", "1e3", "\xff\xfe"}) {
    Deployment deployment;
    deployment.table = &table;
    deployment.release = "0.29.0";
    deployment.vendor = "nvidia";
    deployment.model = name;
    deployment.summary = {"plan of " + name};
    const std::vector<std::string> words = shell_words(write_shell_command(deployment), "/nowhere");
    if (name.find('\n') == std::string::npos) {
      EXPECT_THAT(words, ::testing::ElementsAre("vllm", "serve", name));
    }
    const YAML::Node kubernetes = YAML::LoadAll(write_kubernetes(deployment).value()).at(0);
    std::string word = kubernetes["spec"]["template"]["spec"]["containers"][0]["args"][0].Scalar();
    if (name.find('\xff') != std::string::npos) continue; // no text that YAML has
    const std::string once = name.starts_with("$(") ? "$" + name : name;
    EXPECT_EQ(word, once);
    const YAML::Node compose = YAML::Load(write_compose(deployment).value());
    word = compose["services"].begin()->second["command"][0].Scalar();
    std::string dollars;
    for (const char c : name) dollars += c == '$' ? "$$" : std::string(1, c);
    EXPECT_EQ(word, dollars);
    EXPECT_EQ(
        YAML::Load(write_ray(deployment).value())["applications"][0]["args"]["llm_configs"][0]["model_loading_config"]["model_id"].Scalar(),
        name);
  }
}

} // namespace
} // namespace plimsoll
