// The text of plimsoll/runtime.h: a pipeline behind a handle, requests and outputs as documents. Never lets an exception out.
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/c_interface.hpp"
#include "base/checked.hpp"
#include "plimsoll/generation_json.hpp"
#include "runtime_capi/options_reader.hpp"
#include "runtime_capi/pipeline_calls.hpp"

struct plimsoll_generator {
  plimsoll::TextGenerationPipeline pipeline;
  double load_seconds = 0;
  std::string folder;                                                   // of the model
  std::map<std::string, std::shared_ptr<const plimsoll::Image>> images; // by their names
};

namespace plimsoll::capi {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

Result<plimsoll_generator> load_generator(const Context& context, const char* request_json, const char* options_json,
                                          LoadProgress progress) {
  const Clock::time_point begin = Clock::now();
  PLIMSOLL_ASSIGN(const PlanTask task, read_run_task(context, request_json));
  PipelineOptions options;
  options.progress = std::move(progress);
  PLIMSOLL_ASSIGN(const OptionsReader read, OptionsReader::create(options_json, {"tokenizer", "prefix_caching", "key_seed", "loras"}));
  std::uint64_t seed = 0;
  PLIMSOLL_TRY(read.flag("tokenizer", options.load_tokenizer));
  PLIMSOLL_TRY(read.flag("prefix_caching", options.prefix_caching));
  PLIMSOLL_TRY(read.number("key_seed", UINT64_MAX, seed));
  PLIMSOLL_TRY(read.texts("loras", options.loras));
  if (read.has("key_seed")) options.key_seed = seed;
  options.arena_mode = usual_arena_mode(task.request);
  PLIMSOLL_ASSIGN(TextGenerationPipeline pipeline, TextGenerationPipeline::create(context, task.model, task.request, options));
  return plimsoll_generator{std::move(pipeline), seconds_since(begin), task.model.info().path, {}};
}

Result<std::shared_ptr<const Image>> find_image(const plimsoll_generator& generator, const std::string& name) {
  const auto found = generator.images.find(name);
  if (found == generator.images.end()) return fail(ErrorCode::kBadRequest, "no image of that name was added");
  return found->second;
}

Result<void> set_image(plimsoll_generator& generator, const char* name, std::uint32_t height, std::uint32_t width,
                       const std::uint8_t* rgb) {
  if (rgb == nullptr) {
    generator.images.erase(name);
    return {};
  }
  PLIMSOLL_ASSIGN(const ImageNormalisation by, read_image_normalisation(generator.folder));
  const Checked bytes = Checked(height) * width * 3;
  PLIMSOLL_ASSIGN(const std::uint64_t count, bytes.get("an image"));
  PLIMSOLL_ASSIGN(generator.images[name], image_of_rgb({rgb, static_cast<std::size_t>(count)}, height, width, by));
  return {};
}

Result<std::string> generate_document(plimsoll_generator& generator, const char* requests_json, plimsoll_text_sink sink, void* user) {
  PLIMSOLL_ASSIGN(const std::vector<TextGenerationRequest> requests,
                  read_generation_requests(requests_json, [&](const std::string& name) { return find_image(generator, name); }));
  const auto told = [&](const std::vector<TextGenerationOutput>& outputs) {
    bool go_on = true;
    for (const TextGenerationOutput& output : outputs)
      go_on = (sink == nullptr || sink(user, output.id, output.text.c_str(), output.tokens.data(), output.tokens.size()) == 0) && go_on;
    return go_on;
  };
  PLIMSOLL_ASSIGN(RunResult result, run_requests(generator.pipeline, requests, told));
  result.times.load_seconds = generator.load_seconds;
  return run_to_json(result);
}

} // namespace
} // namespace plimsoll::capi

using namespace plimsoll;       // NOLINT: the C functions below are this file's only content
using namespace plimsoll::capi; // NOLINT

int plimsoll_generator_create(const plimsoll_context* context, const char* request_json, const char* options_json,
                              plimsoll_load_progress progress, void* user, plimsoll_generator** out, char** error) {
  return create_pipeline(context, request_json, progress, user, out, error, [&](const Context& in, LoadProgress told) {
    return load_generator(in, request_json, options_json, std::move(told));
  });
}

int plimsoll_generate_json(plimsoll_generator* generator, const char* requests_json, plimsoll_text_sink sink, void* user, char** out_json) {
  if (out_json == nullptr) return PLIMSOLL_HOST_BAD_REQUEST;
  *out_json = nullptr;
  const auto failed = [&](const Error& problem) {
    return hand_out_document(failure_to_json("plimsoll.run/1", problem), code_number(problem.code), out_json);
  };
  return walled(
      [&] {
        if (generator == nullptr || requests_json == nullptr)
          return failed(null_argument(generator == nullptr ? "generator" : "requests_json"));
        const auto document = generate_document(*generator, requests_json, sink, user);
        if (!document) return failed(document.error());
        return hand_out_document(*document, PLIMSOLL_HOST_OK, out_json);
      },
      failed);
}

int plimsoll_generator_image(plimsoll_generator* generator, const char* name, uint32_t height, uint32_t width, const uint8_t* rgb,
                             char** error) {
  if (error) *error = nullptr;
  const auto failed = [&](const Error& problem) { return hand_out_error(problem, error); };
  return walled(
      [&] {
        if (generator == nullptr || name == nullptr) return failed(null_argument(generator == nullptr ? "generator" : "name"));
        const auto set = set_image(*generator, name, height, width, rgb);
        return set ? static_cast<int>(PLIMSOLL_HOST_OK) : failed(set.error());
      },
      failed);
}

int plimsoll_generator_plan(const plimsoll_generator* generator, char** out_json) { return hand_out_plan(generator, out_json); }
