// Members of PipelineModel that every model has. Estimates, log-probabilities and signal buffers have files of their own.
#include "plimsoll/pipeline_model.hpp"

#include <fmt/format.h>

namespace plimsoll {

PipelineModel::PipelineModel(PipelineModelOptions options)
    : plan_(std::move(options.plan)), arenas_(std::move(options.arenas)), return_logits_(options.return_logits),
      processes_(std::move(options.processes)) {}
PipelineModel::~PipelineModel() = default;

void PipelineModel::release(RequestId) noexcept {}

std::optional<ImageLimits> PipelineModel::image_limits() const { return std::nullopt; }

LoraManager* PipelineModel::lora_manager() noexcept { return nullptr; }
PipelineModel* PipelineModel::draft() noexcept { return nullptr; }
DraftHead* PipelineModel::draft_head() noexcept { return nullptr; }
DraftHead::~DraftHead() = default;

bool PipelineModel::shares_experts() const noexcept { return false; }
Result<std::uint64_t> PipelineModel::execute_idle() {
  return fail(ErrorCode::kBadRequest, "this model shares no experts with other replicas, or has no pages yet; it has no idle passes");
}

StepLimits PipelineModel::step_limits() const {
  const std::uint64_t tokens = plan_.request.max_batch_input_tokens;
  return {.tokens = tokens, .sequences = plan_.limits.max_batch_size, .output_rows = tokens};
}

Result<ElementType> PipelineModel::dtype() const {
  if (const auto type = find_element_type(plan_.request.dtype)) return *type;
  return fail(ErrorCode::kBadRequest,
              fmt::format("the plan's type is '{}'; a type that the runtime computes in was expected, as float32", plan_.request.dtype));
}

} // namespace plimsoll
