#include "property/library.hpp"

#include <cstdlib>
#include <stdexcept>

namespace plimsoll::property {
namespace {

Answer taken(int code, char* text) {
  Answer answer;
  answer.code = code;
  if (text == nullptr) throw std::runtime_error("the library handed out no document");
  answer.text = text;
  plimsoll_free(text);
  answer.document = Json::parse(answer.text);
  return answer;
}

} // namespace

const plimsoll_context* context() {
  static const plimsoll_context* made = [] {
    setenv("HF_HUB_CACHE", "/nonexistent", 1); // nothing of this machine's own
    const Json options{{"catalogue_path", PLIMSOLL_SOURCE_DIR "/core/catalogue"},
                       {"plugin_paths", {PLIMSOLL_BUILD_DIR "/lib/plimsoll/plugins"}},
                       {"trust", "open"}};
    plimsoll_context* out = nullptr;
    char* error = nullptr;
    if (plimsoll_context_create(options.dump().c_str(), nullptr, nullptr, &out, &error) != PLIMSOLL_HOST_OK)
      throw std::runtime_error(error);
    return out;
  }();
  return made;
}

Answer plan(const std::string& request_json) {
  char* text = nullptr;
  const int code = plimsoll_plan_json(context(), request_json.c_str(), &text);
  return taken(code, text);
}

Answer estimate(const std::string& request_json) {
  char* text = nullptr;
  const int code = plimsoll_estimate_json(request_json.c_str(), &text);
  return taken(code, text);
}

} // namespace plimsoll::property
