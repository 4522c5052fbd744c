// A server with a model of its own that takes only the pages from here: a plan says how many there are, the manager says which token
// stands in which. Its "model" reads every token back out of the pages, so that a wrong table would be another text.
//   example_host_pages MODEL
#include <algorithm>
#include <cstdio>
#include <deque>
#include <iostream>
#include <list>
#include <vector>

#include <plimsoll/host.hpp>
#include <plimsoll/kv_cache.hpp>

namespace {

using plimsoll::PageId;
using plimsoll::Token;

// What stands in for keys and values: one number a token, in pages as the plan has them.
class Cache {
public:
  explicit Cache(const plimsoll::KvGeometry& geometry)
      : page_tokens_(geometry.group(0, 0).page_tokens), memory_(geometry.pool(0, 0).pages * page_tokens_) {}
  Token& at(std::span<const PageId> table, std::uint64_t position) {
    return memory_[table[position / page_tokens_] * page_tokens_ + position % page_tokens_];
  }

private:
  std::uint64_t page_tokens_;
  std::vector<Token> memory_;
};

// A forward pass over one request's tokens: stores them, reads all that stand before, and says what comes next.
Token forward(Cache& cache, std::span<const PageId> table, const plimsoll::TextContext& context) {
  for (std::uint64_t i = 0; i < context.active_length(); ++i) cache.at(table, context.processed_length() + i) = context.active_tokens()[i];
  std::uint64_t state = 17;
  for (std::uint64_t i = 0; i < context.current_position(); ++i) state = state * 31 + static_cast<std::uint64_t>(cache.at(table, i));
  return static_cast<Token>(state % 1000);
}

class Server {
public:
  Server(plimsoll::PagedKvManager pages, std::uint64_t batch, std::uint64_t step_tokens)
      : pages_(std::move(pages)), cache_(pages_.geometry()), batch_(batch), step_tokens_(step_tokens) {}

  void submit(plimsoll::TextContext context) { waiting_.push_back(std::move(context)); }

  // One step of whoever is under way; contexts that are done, in the order in which they ended.
  plimsoll::Result<std::vector<plimsoll::TextContext>> step() {
    while (!waiting_.empty() && running_.size() < batch_) {
      PLIMSOLL_TRY(pages_.claim(waiting_.front().id()));
      running_.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
    std::vector<const plimsoll::TextContext*> batch;
    std::uint64_t left = step_tokens_;
    for (plimsoll::TextContext& context : running_) {
      if (left == 0) break;
      context.set_chunk_limit(left); // long prompts in chunks, beside requests that generate
      const auto allocation = pages_.alloc(context);
      if (!allocation) {
        if (allocation.error().code != plimsoll::ErrorCode::kInsufficientBlocks) return tl::unexpected(allocation.error());
        break; // the rest waits until pages come back; nothing of it was changed
      }
      hit_tokens_ += allocation->hit_tokens;
      left -= std::min(left, context.active_length());
      batch.push_back(&context);
    }
    PLIMSOLL_ASSIGN(const plimsoll::KvInputs inputs, pages_.runtime_inputs(batch));
    const plimsoll::KvGroupInputs& group = inputs.groups.front();
    auto next = running_.begin();
    for (std::size_t i = 0; i < batch.size(); ++i, ++next) {
      const Token token = forward(cache_, group.table.subspan(i * group.columns, group.columns), *next);
      PLIMSOLL_TRY(next->reaches_end() ? next->update(token) : next->advance_chunk());
    }
    PLIMSOLL_TRY(pages_.step(batch)); // full pages can be hit from now on
    std::vector<plimsoll::TextContext> done;
    for (auto at = running_.begin(); at != running_.end();) {
      const bool is_done = at->size_tokens() == at->max_length();
      if (is_done) {
        PLIMSOLL_TRY(pages_.release(at->id()));
        done.push_back(std::move(*at));
      }
      at = is_done ? running_.erase(at) : std::next(at);
    }
    return done;
  }
  bool is_idle() const { return waiting_.empty() && running_.empty(); }
  std::uint64_t hit_tokens() const { return hit_tokens_; }
  const plimsoll::PagedKvManager& pages() const { return pages_; }

private:
  plimsoll::PagedKvManager pages_;
  Cache cache_;
  std::uint64_t batch_, step_tokens_, hit_tokens_ = 0;
  std::deque<plimsoll::TextContext> waiting_;
  std::list<plimsoll::TextContext> running_;
};

// Eight requests whose prompts begin alike, 20 tokens more each.
plimsoll::Result<std::vector<std::vector<Token>>> serve(Server& server) {
  for (plimsoll::RequestId id = 0; id < 8; ++id) {
    plimsoll::TextContextOptions request;
    request.id = id;
    for (Token i = 0; i < 300; ++i) request.prompt.push_back(i % 251);
    request.prompt.push_back(static_cast<Token>(id % 4));
    request.max_length = request.prompt.size() + 20;
    PLIMSOLL_ASSIGN(plimsoll::TextContext context, plimsoll::TextContext::create(std::move(request)));
    server.submit(std::move(context));
  }
  std::vector<std::vector<Token>> texts(8);
  while (!server.is_idle()) {
    PLIMSOLL_ASSIGN(const auto done, server.step());
    for (const plimsoll::TextContext& context : done) texts[context.id()].assign(context.tokens().end() - 20, context.tokens().end());
  }
  return texts;
}

plimsoll::Result<bool> run(const char* path) {
  PLIMSOLL_ASSIGN(const plimsoll::Context context, plimsoll::Context::create({}));
  PLIMSOLL_ASSIGN(const plimsoll::Model model, context.load(path));
  plimsoll::PlanRequest request;
  request.engine = "vllm"; // whose pages the server's kernels expect
  request.devices = "80GiB";
  request.max_length = 4096;
  PLIMSOLL_ASSIGN(const plimsoll::Plan plan, context.plan(model, request));
  if (plan.error) return tl::unexpected(*plan.error);
  std::vector<std::vector<std::vector<Token>>> all;
  for (const std::uint64_t batch : {std::uint64_t{1}, std::uint64_t{8}}) {
    plimsoll::KvOptions options;
    options.layout = plimsoll::TableLayout::kExact; // the null page is 0; kMax counts from 0 and pads its rows
    PLIMSOLL_ASSIGN(plimsoll::PagedKvManager pages, plimsoll::PagedKvManager::create(plan.kv_geometry, options));
    Server server(std::move(pages), batch, 64);
    PLIMSOLL_ASSIGN(auto texts, serve(server));
    std::cout << "batches of " << batch << ": " << server.hit_tokens() << " tokens of prompts were in the cache, "
              << server.pages().metrics().used_pages << " pages are still taken\n";
    all.push_back(std::move(texts));
  }
  return all[0] == all[1] && all[0][0] == all[0][4] && all[0][0] != all[0][1];
}

} // namespace

int main(int argc, char** argv) {
  if (argc != 2) return std::fputs("usage: example_host_pages MODEL\n", stderr), 2;
  const auto alike = run(argv[1]);
  if (!alike) return std::fprintf(stderr, "error: %s\n", alike.error().message.c_str()), 1;
  std::cout << (*alike ? "alone and together they say the same\n" : "error: the texts differ\n");
  return *alike ? 0 : 1;
}
