// The pages of plimsoll/runtime.h: a KV manager and the contexts of its requests behind handles. Never lets an exception out.
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/c_interface.hpp"
#include "capi/plan_getters.hpp"
#include "plimsoll/kv_cache.hpp"
#include "plimsoll/runtime.h"
#include "runtime_capi/options_reader.hpp"

namespace plimsoll::capi {
namespace {

tl::unexpected<Error> bad_request(std::string message) { return fail(ErrorCode::kBadRequest, std::move(message)); }

Result<KvOptions> read_kv_options(const char* json) {
  PLIMSOLL_ASSIGN(const OptionsReader given,
                  OptionsReader::create(json, {"replicas", "prefix_caching", "slack_tokens", "layout", "key_seed"}));
  KvOptions out;
  std::uint64_t replicas = 1, seed = 0;
  std::string layout = "max";
  PLIMSOLL_TRY(given.number("replicas", UINT32_MAX, replicas));
  PLIMSOLL_TRY(given.flag("prefix_caching", out.prefix_caching));
  PLIMSOLL_TRY(given.number("slack_tokens", INT32_MAX, out.slack_tokens));
  PLIMSOLL_TRY(given.number("key_seed", UINT64_MAX, seed));
  PLIMSOLL_TRY(given.text("layout", layout));
  if (layout != "max" && layout != "exact") return fail(ErrorCode::kBadRequest, "layout takes \"max\" or \"exact\"", "/layout");
  out.replicas = static_cast<std::uint32_t>(replicas);
  out.layout = layout == "max" ? TableLayout::kMax : TableLayout::kExact;
  if (given.has("key_seed")) out.key_seed = seed;
  return out;
}

} // namespace

// What the handle holds.
struct KvHandle {
  struct Request {
    TextContext context;
    bool has_pages = false;          // for the tokens of the next step
    std::uint64_t last_gathered = 0; // the number of the batch in which it stood last
  };
  PagedKvManager manager;
  std::map<RequestId, Request> requests = {};
  std::vector<Request*> gathered = {};        // the requests of the last batch,
  std::vector<const TextContext*> batch = {}; // and their contexts
  std::uint64_t batches = 0;
  KvInputs inputs = {};

  Result<Request*> find(RequestId id) {
    const auto found = requests.find(id);
    if (found == requests.end()) return bad_request("request " + std::to_string(id) + " was not admitted");
    return &found->second;
  }

  Result<void> admit(RequestId id, std::span<const Token> prompt, const char* json) {
    PLIMSOLL_ASSIGN(const OptionsReader given,
                    OptionsReader::create(json, {"replica", "max_length", "cache_salt", "adapter", "skip_prefix_read"}));
    if (requests.contains(id)) return bad_request("request " + std::to_string(id) + " is there already");
    TextContextOptions options;
    options.id = id;
    options.prompt.assign(prompt.begin(), prompt.end());
    options.max_length = INT32_MAX;
    std::uint64_t replica = 0;
    PLIMSOLL_TRY(given.number("replica", UINT32_MAX, replica));
    PLIMSOLL_TRY(given.number("max_length", INT32_MAX, options.max_length));
    PLIMSOLL_TRY(given.text("cache_salt", options.cache_salt));
    PLIMSOLL_TRY(given.text("adapter", options.adapter));
    PLIMSOLL_TRY(given.flag("skip_prefix_read", options.skip_prefix_read));
    PLIMSOLL_ASSIGN(TextContext context, TextContext::create(std::move(options)));
    const auto at = requests.emplace(id, Request{std::move(context)}).first;
    auto claimed = manager.claim(id, static_cast<std::uint32_t>(replica));
    if (!claimed) requests.erase(at);
    return claimed;
  }

  Result<void> alloc(RequestId id, std::uint64_t most_tokens, plimsoll_kv_work& work) {
    PLIMSOLL_ASSIGN(Request* const request, find(id));
    TextContext& context = request->context;
    const std::uint64_t limit = context.chunk_limit();
    context.set_chunk_limit(most_tokens);
    const auto taken = manager.alloc(context);
    if (!taken) {
      context.set_chunk_limit(limit);
      return tl::unexpected(taken.error());
    }
    request->has_pages = true;
    work = {context.processed_length(), context.active_length(), taken->hit_tokens, taken->new_pages, context.reaches_end() ? 1 : 0};
    return {};
  }

  // The contexts of a batch into `batch`; each has its pages, and none stands in it twice.
  Result<void> gather(std::span<const RequestId> ids) {
    gathered.clear();
    batch.clear();
    ++batches;
    for (const RequestId id : ids) {
      PLIMSOLL_ASSIGN(Request* const request, find(id));
      if (!request->has_pages) return bad_request("request " + std::to_string(id) + " has no pages for this step; alloc comes first");
      if (std::exchange(request->last_gathered, batches) == batches)
        return bad_request("request " + std::to_string(id) + " stands in the batch twice");
      gathered.push_back(request);
      batch.push_back(&request->context);
    }
    return {};
  }

  Result<void> make_inputs(std::span<const RequestId> ids, std::uint32_t replica) {
    PLIMSOLL_TRY(gather(ids));
    PLIMSOLL_ASSIGN(inputs, manager.runtime_inputs(batch, {replica}));
    return {};
  }

  Result<void> step(std::span<const RequestId> ids, const Token* tokens) {
    PLIMSOLL_TRY(gather(ids));
    for (std::size_t i = 0; i < batch.size(); ++i) {
      if (!batch[i]->reaches_end()) continue;
      if (batch[i]->size_tokens() >= batch[i]->max_length())
        return bad_request("request " + std::to_string(ids[i]) + " has its most tokens; release it");
      if (tokens[i] < 0) return bad_request("token " + std::to_string(tokens[i]) + " of request " + std::to_string(ids[i]));
    }
    for (std::size_t i = 0; i < gathered.size(); ++i) {
      TextContext& context = gathered[i]->context;
      PLIMSOLL_TRY(context.reaches_end() ? context.update(tokens[i]) : context.advance_chunk());
      gathered[i]->has_pages = false;
    }
    return manager.step(batch);
  }

  Result<void> release(RequestId id) {
    PLIMSOLL_TRY(find(id));
    PLIMSOLL_TRY(manager.release(id));
    requests.erase(id);
    return {};
  }
};

namespace {

// A function that changes a manager: what `body` answers, as a code and an error.
template <class Body>
int on_kv(bool given, char** error, Body&& body) {
  if (error) *error = nullptr;
  const auto failed = [&](const Error& problem) { return hand_out_error(problem, error); };
  return walled(
      [&] {
        if (!given) return failed(null_argument("kv"));
        const Result<void> done = body();
        return done ? PLIMSOLL_HOST_OK : failed(done.error());
      },
      failed);
}

Result<void> check_array(const void* data, std::size_t n, const char* name) {
  if (data == nullptr || n == 0) return tl::unexpected(null_argument(name));
  return {};
}

} // namespace
} // namespace plimsoll::capi

struct plimsoll_kv {
  plimsoll::capi::KvHandle handle;
};

using namespace plimsoll;       // NOLINT: the C functions below are this file's only content
using namespace plimsoll::capi; // NOLINT

int plimsoll_kv_create(const plimsoll_plan* plan, const char* options_json, plimsoll_kv** out, char** error) {
  if (out) *out = nullptr;
  return on_kv(true, error, [&]() -> Result<void> {
    if (plan == nullptr || out == nullptr) return tl::unexpected(null_argument(plan == nullptr ? "plan" : "out"));
    PLIMSOLL_ASSIGN(const KvOptions options, read_kv_options(options_json));
    PLIMSOLL_ASSIGN(PagedKvManager manager, PagedKvManager::create(plan->plan.kv_geometry, options));
    hand_out_object(plimsoll_kv{{std::move(manager)}}, out);
    return {};
  });
}

int plimsoll_kv_admit(plimsoll_kv* kv, uint64_t request, const int32_t* prompt, size_t n, const char* options_json, char** error) {
  return on_kv(kv != nullptr, error, [&]() -> Result<void> {
    PLIMSOLL_TRY(check_array(prompt, n, "prompt"));
    return kv->handle.admit(request, {prompt, n}, options_json);
  });
}

int plimsoll_kv_alloc(plimsoll_kv* kv, uint64_t request, uint64_t most_tokens, plimsoll_kv_work* work, char** error) {
  return on_kv(kv != nullptr, error, [&]() -> Result<void> {
    PLIMSOLL_TRY(check_array(work, 1, "work"));
    return kv->handle.alloc(request, most_tokens, *work);
  });
}

int plimsoll_kv_inputs(plimsoll_kv* kv, const uint64_t* requests, size_t n, uint32_t replica, char** error) {
  return on_kv(kv != nullptr, error, [&]() -> Result<void> {
    PLIMSOLL_TRY(check_array(requests, n, "requests"));
    return kv->handle.make_inputs({requests, n}, replica);
  });
}

int plimsoll_kv_table(const plimsoll_kv* kv, uint32_t group, plimsoll_kv_group_inputs* out) {
  if (kv == nullptr || out == nullptr || group >= kv->handle.inputs.groups.size()) return PLIMSOLL_HOST_BAD_REQUEST;
  const KvGroupInputs& of = kv->handle.inputs.groups[group];
  *out = {of.table.empty() ? nullptr : of.table.data(),           of.lanes,           of.columns, of.fill,
          of.state_rows.empty() ? nullptr : of.state_rows.data(), of.rows_per_request};
  return PLIMSOLL_HOST_OK;
}

const uint32_t* plimsoll_kv_cache_lengths(const plimsoll_kv* kv) {
  return kv == nullptr || kv->handle.inputs.cache_lengths.empty() ? nullptr : kv->handle.inputs.cache_lengths.data();
}

int plimsoll_kv_step(plimsoll_kv* kv, const uint64_t* requests, const int32_t* tokens, size_t n, char** error) {
  return on_kv(kv != nullptr, error, [&]() -> Result<void> {
    PLIMSOLL_TRY(check_array(requests, n, "requests"));
    PLIMSOLL_TRY(check_array(tokens, n, "tokens"));
    return kv->handle.step({requests, n}, tokens);
  });
}

int plimsoll_kv_release(plimsoll_kv* kv, uint64_t request, char** error) {
  return on_kv(kv != nullptr, error, [&] { return kv->handle.release(request); });
}

void plimsoll_kv_reset_prefix_cache(plimsoll_kv* kv) {
  if (kv != nullptr) kv->handle.manager.reset_prefix_cache();
}

int plimsoll_kv_metric(const plimsoll_kv* kv, int which, uint64_t* value) {
  if (kv == nullptr || value == nullptr) return PLIMSOLL_HOST_BAD_REQUEST;
  const KvMetrics of = kv->handle.manager.metrics();
  const std::array<std::uint64_t, 9> figures{of.total_pages,  of.used_pages, of.free_pages,
                                             of.cached_pages, of.hit_tokens, of.queried_tokens,
                                             of.evictions,    of.requests,   kv->handle.manager.prefix_caching() ? 1U : 0U};
  if (which < 0 || static_cast<std::size_t>(which) >= figures.size()) return PLIMSOLL_HOST_BAD_REQUEST;
  *value = figures[static_cast<std::size_t>(which)];
  return PLIMSOLL_HOST_OK;
}
