#include "storage/read_bitsandbytes.hpp"

#include <string>

#include "storage/storage_formats.hpp"

namespace plimsoll {

Result<void> read_bitsandbytes(const Node& q, QuantizationBuilder& out) {
  PLIMSOLL_TRY(out.exclude(q["llm_int8_skip_modules"]));
  PLIMSOLL_ASSIGN(const bool four, boolean(q.any({"load_in_4bit", "_load_in_4bit"}), false));
  PLIMSOLL_ASSIGN(const bool eight, boolean(q.any({"load_in_8bit", "_load_in_8bit"}), false));
  if (four == eight) return fail(ErrorCode::kBadConfig, "one of load_in_4bit and load_in_8bit must be true", q.pointer);
  if (eight) return out.set_default(formats::bnb_int8(), q);
  PLIMSOLL_ASSIGN(const std::string kind, text(q["bnb_4bit_quant_type"], "fp4"));
  if (kind != "nf4" && kind != "fp4") return bad(q["bnb_4bit_quant_type"], "nf4 or fp4");
  PLIMSOLL_ASSIGN(const bool nested, boolean(q["bnb_4bit_use_double_quant"], false));
  return out.set_default(formats::bnb_4bit(kind == "nf4", nested), q);
}

} // namespace plimsoll
