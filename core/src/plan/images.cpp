#include "plan/images.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "base/checked.hpp"
#include "plan/entry_caches.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMostPatches = UINT32_MAX; // of an image: what an executor numbers

} // namespace

Result<ProgramImages> planned_images(const Settled& s) {
  if (s.profile().schedule.activations != ActivationRule::kPipeline || s.vision_utilization == 0) return ProgramImages{};
  const auto entry = std::find_if(s.entries.begin(), s.entries.end(), [](const auto* e) { return e->modality == Modality::kImage; });
  if (entry == s.entries.end()) return ProgramImages{};
  const Result<Described>& described = s.model().described();
  if (!described) return tl::unexpected(described.error());
  if (!described->encoder)
    return fail(ErrorCode::kUnsupportedArchitecture,
                fmt::format("images cannot be run with this model: {}; leave the option out for texts",
                            described->no_encoder ? described->no_encoder->message : "its planner describes no encoder"),
                "--vision-cache-utilization");
  const DescribedOp &patches = *find_op(*described->encoder, OpKind::kPatches), &rows = *find_op(*described, OpKind::kImageRows);
  ProgramImages images;
  images.most_rows = (*entry)->rows;
  images.row_elements = (*entry)->row_elements;
  images.dtype = row_type_of(s, **entry).name;
  images.block_rows = s.profile().vision_cache.vision_block_tokens;
  images.channels = patches.i[0];
  images.frames = patches.i[1];
  images.side = patches.i[2];
  images.merge = patches.i[3];
  images.token = rows.i[0];
  if ((Checked(images.most_rows) * images.patches_of_row()).saturated() > kMostPatches)
    return fail(ErrorCode::kBadConfig, fmt::format("an image of {} rows of {} patches is larger than an encoder takes", images.most_rows,
                                                   images.patches_of_row()));
  return images;
}

PassShape encoder_pass(const ProgramImages& images) {
  return {.tokens = images.most_rows * images.patches_of_row(), .outputs = images.most_rows, .sequences = 1, .context_tokens = 0};
}

} // namespace plimsoll
