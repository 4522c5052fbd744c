#include "base/c_interface.hpp"

#include "base/document_text.hpp"

namespace plimsoll::capi {

int code_number(ErrorCode code) {
  switch (code) {
  case ErrorCode::kBadConfig: return PLIMSOLL_HOST_BAD_CONFIG;
  case ErrorCode::kBadCheckpoint: return PLIMSOLL_HOST_BAD_CHECKPOINT;
  case ErrorCode::kBadRequest: return PLIMSOLL_HOST_BAD_REQUEST;
  case ErrorCode::kUnsupportedArchitecture: return PLIMSOLL_HOST_UNSUPPORTED_ARCHITECTURE;
  case ErrorCode::kModelTooLarge: return PLIMSOLL_HOST_MODEL_TOO_LARGE;
  case ErrorCode::kNoRoomForKv: return PLIMSOLL_HOST_NO_ROOM_FOR_KV;
  case ErrorCode::kNoPageFits: return PLIMSOLL_HOST_NO_PAGE_FITS;
  case ErrorCode::kOutOfMemory:
  case ErrorCode::kInsufficientBlocks:
  case ErrorCode::kOverPlan: return PLIMSOLL_HOST_OUT_OF_MEMORY;
  case ErrorCode::kPluginFailed: return PLIMSOLL_HOST_PLUGIN_FAILED;
  case ErrorCode::kInternal: return PLIMSOLL_HOST_INTERNAL;
  }
  return PLIMSOLL_HOST_INTERNAL;
}

int hand_out_error(const Error& error, char** out) {
  if (out) *out = hand_out_text(dump_document(error_object(error), -1));
  return code_number(error.code);
}

int hand_out_document(std::string_view document, int code, char** out) {
  *out = hand_out_text(document);
  return *out ? code : PLIMSOLL_HOST_INTERNAL;
}

Error null_argument(const char* which) { return {ErrorCode::kBadRequest, "a NULL argument that must be given", which}; }

} // namespace plimsoll::capi
