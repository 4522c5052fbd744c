#include "remote/curl_library.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

namespace plimsoll {
namespace {

template <class Function>
bool find_function(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

Result<CurlLibrary> load_any() {
  for (const char* name : {"libcurl.so.4", "libcurl-gnutls.so.4"})
    if (auto loaded = load_curl(name)) return loaded;
  return load_curl("libcurl.so.4");
}

} // namespace

Result<CurlLibrary> load_curl(const char* name) {
  void* const library = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr)
    return fail(ErrorCode::kBadRequest, fmt::format("{} is not here, and models of URLs are fetched with it; install libcurl4", name),
                "--online");
  CurlLibrary out;
  const bool all =
      find_function(library, "curl_global_init", out.global_init) && find_function(library, "curl_easy_init", out.easy_init) &&
      find_function(library, "curl_easy_cleanup", out.easy_cleanup) && find_function(library, "curl_easy_reset", out.easy_reset) &&
      find_function(library, "curl_easy_setopt", out.easy_setopt) && find_function(library, "curl_easy_getinfo", out.easy_getinfo) &&
      find_function(library, "curl_easy_strerror", out.easy_strerror) && find_function(library, "curl_slist_append", out.slist_append) &&
      find_function(library, "curl_slist_free_all", out.slist_free_all) && find_function(library, "curl_multi_init", out.multi_init) &&
      find_function(library, "curl_multi_cleanup", out.multi_cleanup) && find_function(library, "curl_multi_setopt", out.multi_setopt) &&
      find_function(library, "curl_multi_add_handle", out.multi_add_handle) &&
      find_function(library, "curl_multi_remove_handle", out.multi_remove_handle) &&
      find_function(library, "curl_multi_perform", out.multi_perform) && find_function(library, "curl_multi_poll", out.multi_poll) &&
      find_function(library, "curl_multi_info_read", out.multi_info_read);
  if (!all)
    return fail(ErrorCode::kBadRequest, fmt::format("{} is older than 7.66, and lacks what is needed; install a newer libcurl4", name),
                "--online");
  if (out.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return fail(ErrorCode::kInternal, "libcurl cannot be started", "--online");
  return out;
}

const Result<CurlLibrary>& curl_library() {
  static const Result<CurlLibrary> kLoaded = load_any();
  return kLoaded;
}

} // namespace plimsoll
