// A plugin seen through glass: every call of the host into it, and every call of its back, goes through here, is noted for who must say
// where a process died, and can be bent: texts that end where memory ends, tables that are larger than anybody knows, lookups that
// fail. The rest of the host works as ever. Threads: any, once set up; what is seen is kept under a lock.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plugin/registry.hpp"

namespace plimsoll::check {

// How calls are bent.
struct Bend {
  enum class Error : std::uint8_t { kGiven, kNull, kSmall };
  bool guard_texts = false;               // texts end at memory that cannot be read
  bool guard_tables = false;              // so do the host table and requests, with the size of version 1.0
  bool longer_tables = false;             // host table, request and error are longer than anybody knows, with nonsense in their tails
  std::uint32_t more_aspects = 0;         // added to what is asked for
  Error error = Error::kGiven;            // what it gets to fill
  std::uint64_t fail_lookup = UINT64_MAX; // the number of the lookup that fails
  plimsoll_status lookup_status = PLIMSOLL_E_TYPE;
  bool cycle = false; // planner_for answers E_CYCLE
};

// An error that it answered with.
struct SeenError {
  std::string call;
  plimsoll_status status = PLIMSOLL_OK;
  bool terminated = true, filled = true; // filled: there was room for words
  std::string where, message;
};
// A part that it delegated.
struct SeenChild {
  std::string pointer;  // of the part, in the whole configuration
  bool by_view = false; // whoever plans it, without a family or a dialect
  const plimsoll_planner_api* api = nullptr;
  const plimsoll_planner* planner = nullptr;
};

class Shim {
public:
  static constexpr std::size_t kMaxFamilies = 32;

  // `note`: told of every call before it is made.
  Shim(const plimsoll_plugin& descriptor, std::function<void(std::string_view call)> note);
  ~Shim();
  Shim(const Shim&) = delete;
  Shim& operator=(const Shim&) = delete;

  // The plugin as hosts shall see it.
  const plimsoll_plugin& outside() const { return outside_; }
  plimsoll_status init(const plimsoll_host* host, plimsoll_error* err);
  void fini();

  Bend bend;
  bool quiet = false; // nothing is kept: for many threads, and for measuring

  // What was seen since it was forgotten.
  void forget();
  const std::set<std::string>& lookups() const { return lookups_; } // pointers in the whole configuration
  const std::vector<SeenError>& errors() const { return errors_; }
  const std::vector<SeenChild>& children() const { return children_; }
  std::uint64_t n_lookups() const { return n_lookups_; }
  // Facts were written beyond their room, or said to be larger or smaller than they may be; empty: neither.
  const std::string& facts_fault() const { return facts_fault_; }
  // A failed create changed its *out.
  bool out_changed() const { return out_changed_; }

  struct Glue; // the functions of its tables

private:
  friend struct Glue;
  void note(std::string_view call) const {
    if (!quiet) note_(call);
  }
  plimsoll_status answered(std::string_view call, plimsoll_status status, const plimsoll_error* err);

  const plimsoll_plugin& inside_;
  std::function<void(std::string_view)> note_;
  std::vector<plimsoll_planner_api> apis_;
  std::vector<plimsoll_family> families_;
  std::vector<const plimsoll_family*> family_list_;
  plimsoll_plugin outside_{};
  const plimsoll_host* real_ = nullptr;

  std::mutex mutex_;
  std::set<std::string> lookups_;
  std::vector<SeenError> errors_;
  std::vector<SeenChild> children_;
  std::atomic<std::uint64_t> n_lookups_{0};
  std::string facts_fault_;
  bool out_changed_ = false;
};

} // namespace plimsoll::check
