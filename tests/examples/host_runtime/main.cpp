// A host that serves text: plans, sizes its pools, generates, and proves the plan. sdk/docs/host_runtime.md walks through it.
//   example_host_runtime MODEL [PROMPT...]
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include <plimsoll/runtime.hpp>

namespace {

int failed(const plimsoll::Error& error) {
  std::cerr << plimsoll::error_code_name(error.code) << ": " << error.message << "\n";
  return 1;
}

// The plan first: nothing is loaded, nothing is allocated.
plimsoll::Result<plimsoll::PlanRequest> choose(const plimsoll::Context& context, const plimsoll::Model& model) {
  plimsoll::PlanRequest request;
  request.engine = "reference"; // our own runtime: what it plans is what it takes
  request.devices = "64MiB";
  request.max_batch_size = 4;
  PLIMSOLL_ASSIGN(request.max_length, plimsoll::PipelineModel::calculate_max_seq_len(context, model, request));
  PLIMSOLL_ASSIGN(const plimsoll::Plan plan, context.plan(model, request));
  if (plan.error) return tl::unexpected(*plan.error); // which limit broke, by how much, on which device
  std::cout << "planned: " << plan.kv_cache.capacity_tokens << " tokens of KV cache for " << plan.limits.max_batch_size << " requests\n";
  return request;
}

// What the pools will take is known before they exist, to the byte.
plimsoll::Result<bool> pools_are_as_planned(const plimsoll::Context& context, const plimsoll::Model& model,
                                            plimsoll::TextGenerationPipeline& pipeline) {
  const plimsoll::Plan& plan = pipeline.plan();
  PLIMSOLL_ASSIGN(
      const std::vector<std::uint64_t> estimated,
      plimsoll::KvCacheModel::estimate_kv_cache_size(context, model, pipeline.pipeline_config(), plan.devices[0].kv_cache_bytes));
  const plimsoll::PagedKvManager* const pages = plimsoll::get_paged_manager(pipeline);
  return pages != nullptr && pages->bytes(0) == plan.devices[0].kv_cache_bytes && estimated[0] == pages->bytes(0);
}

// Requests come and go; each step computes a chunk of those that are under way. Text is printed as it comes.
plimsoll::Result<void> serve(plimsoll::TextGenerationPipeline& pipeline, const std::vector<plimsoll::TextGenerationRequest>& requests) {
  PLIMSOLL_ASSIGN(plimsoll::Generation generation, pipeline.generate_async(requests));
  while (true) {
    PLIMSOLL_ASSIGN(const auto outputs, generation.next()); // a std::stop_token ends all between two steps
    if (!outputs) break;
    for (const plimsoll::TextGenerationOutput& output : *outputs)
      if (requests.size() == 1) std::cout << output.text << std::flush;
  }
  for (const plimsoll::TextGenerationOutput& output : std::move(generation).finish()) {
    if (output.error) return tl::unexpected(*output.error); // of this request alone
    std::cout << (requests.size() == 1 ? "" : output.text) << "\n[request " << output.id << ": " << plimsoll::status_name(output.status)
              << "]\n";
  }
  return {};
}

// The proof: what every category took against what was planned for it.
bool holds(const plimsoll::TextGenerationPipeline& pipeline) {
  bool all = true;
  for (const plimsoll::Usage& usage : pipeline.usage()) {
    if (usage.planned_bytes == 0) continue;
    std::cout << plimsoll::category_name(usage.category) << ": " << usage.peak_bytes << " of " << usage.planned_bytes << " bytes\n";
    all = all && usage.peak_bytes <= usage.planned_bytes;
  }
  return all;
}

} // namespace

int main(int argc, char** argv) {
  if (argc < 2) return std::fputs("usage: example_host_runtime MODEL [PROMPT...]\n", stderr), 2;
  const auto context = plimsoll::Context::create({});
  if (!context) return failed(context.error());
  const auto model = context->load(argv[1]);
  if (!model) return failed(model.error());
  const auto request = choose(*context, *model);
  if (!request) return failed(request.error());

  auto pipeline = plimsoll::TextGenerationPipeline::create(*context, *model, *request);
  if (!pipeline) return failed(pipeline.error());
  const auto as_planned = pools_are_as_planned(*context, *model, *pipeline);
  if (!as_planned) return failed(as_planned.error());

  std::vector<plimsoll::TextGenerationRequest> requests;
  for (int i = 2; i < argc; ++i) {
    plimsoll::TextGenerationRequest& next = requests.emplace_back();
    next.prompt = argv[i];
    next.max_new_tokens = 32;
  }
  if (const auto served = serve(*pipeline, requests); !served) return failed(served.error());
  return *as_planned && holds(*pipeline) ? 0 : 1;
}
