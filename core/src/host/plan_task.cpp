#include "plimsoll/plan_task.hpp"

#include <array>
#include <string>
#include <utility>

namespace plimsoll {
namespace {

constexpr std::size_t kMostModelNameBytes = 4'096;

constexpr std::array<OptionInfo, 4> kTaskOptions{{{.name = "model"},
                                                  {.name = "config", .kind = OptionKind::kDocument},
                                                  {.name = "draft"},
                                                  {.name = "explain", .kind = OptionKind::kSwitch}}};

} // namespace

std::span<const OptionInfo> plan_task_options() noexcept { return kTaskOptions; }

Result<PlanTask> read_plan_task(const Context& context, const char* json, PlanRequest usual) {
  PLIMSOLL_ASSIGN(const std::vector<OptionValue> options, read_options_json(json, kTaskOptions));
  return make_plan_task(context, options, std::move(usual));
}

Result<PlanTask> make_plan_task(const Context& context, std::span<const OptionValue> options, PlanRequest usual) {
  PlanRequest request = std::move(usual);
  std::string model, config, draft;
  for (const OptionValue& option : options) {
    if (option.name == "model") model = option.value;
    else if (option.name == "config") config = option.value;
    else if (option.name == "draft") draft = option.value;
    else if (option.name == "explain") request.explain = option.value == "true";
    else PLIMSOLL_TRY(set_option(request, option));
  }
  if (model.size() > kMostModelNameBytes) return fail(ErrorCode::kBadRequest, "the model's name is longer than any path", "/model");
  if (model.empty() == config.empty())
    return fail(ErrorCode::kBadRequest, "give either \"model\", a name or path, or \"config\", the model's config.json", "/model");
  if (!draft.empty()) {
    PLIMSOLL_ASSIGN(request.draft, context.load(draft));
  }
  if (config.empty()) {
    PLIMSOLL_ASSIGN(Model loaded, context.load(model));
    return PlanTask{std::move(loaded), std::move(request)};
  }
  PLIMSOLL_ASSIGN(Model loaded, context.load_config(config, "config"));
  return PlanTask{std::move(loaded), std::move(request)};
}

} // namespace plimsoll
