#include "plimsoll/result.hpp"

namespace plimsoll {

std::string_view error_code_name(ErrorCode code) noexcept {
  switch (code) {
  case ErrorCode::kBadConfig: return "bad_config";
  case ErrorCode::kBadCheckpoint: return "bad_checkpoint";
  case ErrorCode::kBadRequest: return "bad_request";
  case ErrorCode::kUnsupportedArchitecture: return "unsupported_architecture";
  case ErrorCode::kModelTooLarge: return "model_too_large";
  case ErrorCode::kNoRoomForKv: return "no_room_for_kv";
  case ErrorCode::kNoPageFits: return "no_page_fits";
  case ErrorCode::kOutOfMemory: return "out_of_memory";
  case ErrorCode::kPluginFailed: return "plugin_failed";
  case ErrorCode::kInsufficientBlocks: return "insufficient_blocks";
  case ErrorCode::kOverPlan: return "over_plan";
  case ErrorCode::kInternal: return "internal";
  }
  return "internal";
}

} // namespace plimsoll
