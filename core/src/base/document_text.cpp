#include "base/document_text.hpp"

namespace plimsoll {

nlohmann::ordered_json error_object(const Error& error) {
  return {{"code", error_code_name(error.code)}, {"message", error.message}, {"where", error.where}};
}

std::string dump_document(const nlohmann::ordered_json& document, int indent) {
  return document.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

} // namespace plimsoll
