// libcurl, loaded when something is fetched for the first time, and never before: who plans from files needs none of it.
// Called by transfer.cpp only. Threads: any.
#pragma once

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#include "plimsoll/result.hpp"

namespace plimsoll {

// The functions that are used, by their own names.
struct CurlLibrary {
  decltype(&::curl_global_init) global_init = nullptr;
  decltype(&::curl_easy_init) easy_init = nullptr;
  decltype(&::curl_easy_cleanup) easy_cleanup = nullptr;
  decltype(&::curl_easy_reset) easy_reset = nullptr;
  decltype(&::curl_easy_setopt) easy_setopt = nullptr;
  decltype(&::curl_easy_getinfo) easy_getinfo = nullptr;
  decltype(&::curl_easy_strerror) easy_strerror = nullptr;
  decltype(&::curl_slist_append) slist_append = nullptr;
  decltype(&::curl_slist_free_all) slist_free_all = nullptr;
  decltype(&::curl_multi_init) multi_init = nullptr;
  decltype(&::curl_multi_cleanup) multi_cleanup = nullptr;
  decltype(&::curl_multi_setopt) multi_setopt = nullptr;
  decltype(&::curl_multi_add_handle) multi_add_handle = nullptr;
  decltype(&::curl_multi_remove_handle) multi_remove_handle = nullptr;
  decltype(&::curl_multi_perform) multi_perform = nullptr;
  decltype(&::curl_multi_poll) multi_poll = nullptr;
  decltype(&::curl_multi_info_read) multi_info_read = nullptr;
};

// Of this process, for good; kBadRequest where it is not installed. `name`: of the library, for tests of that.
Result<CurlLibrary> load_curl(const char* name);
const Result<CurlLibrary>& curl_library();

} // namespace plimsoll
