#include "check/case_program.hpp"

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <pthread.h>
#include <thread>
#include <unistd.h>

#include "check/cases.hpp"
#include "process/child_side.hpp"

namespace plimsoll::check {
namespace {

constexpr std::size_t kThreads = 4, kSmallStack = 256U << 10U;

// Threads that wait for work; the last has a small stack. They are never joined: the process ends with them.
class Pool : public Threads {
public:
  Pool() {
    for (std::size_t i = 0; i < kThreads; ++i) std::thread([this, i] { wait_and_work(i); }).detach();
    pthread_attr_t small;
    ::pthread_attr_init(&small);
    ::pthread_attr_setstacksize(&small, kSmallStack);
    ::pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
    pthread_t thread{};
    ::pthread_create(
        &thread, &small,
        [](void* self) -> void* {
          static_cast<Pool*>(self)->wait_and_work(kThreads);
          return nullptr;
        },
        this);
    ::pthread_attr_destroy(&small);
  }
  std::size_t count() const override { return kThreads; }
  void run(const std::function<void(std::size_t)>& work) override { run_on(0, kThreads, work); }
  void run_small(const std::function<void()>& work) override {
    run_on(kThreads, kThreads + 1, [&](std::size_t) { work(); });
  }

private:
  void run_on(std::size_t first, std::size_t end, const std::function<void(std::size_t)>& work) {
    std::unique_lock lock(mutex_);
    work_ = &work;
    first_ = first;
    end_ = end;
    left_ = end - first;
    ++round_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return left_ == 0; });
  }
  void wait_and_work(std::size_t number) {
    std::uint64_t seen = 0;
    for (std::unique_lock lock(mutex_);;) {
      changed_.wait(lock, [&] { return round_ != seen; });
      seen = round_;
      if (number < first_ || number >= end_) continue;
      lock.unlock();
      (*work_)(number);
      lock.lock();
      if (--left_ == 0) changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  const std::function<void(std::size_t)>* work_ = nullptr;
  std::size_t first_ = 0, end_ = 0, left_ = 0;
  std::uint64_t round_ = 0;
};

std::vector<StoredTensor> stored_of(const Json& list) {
  std::vector<StoredTensor> out;
  for (const Json& one : list)
    out.push_back({one.at(0).get<std::string>(), one.at(1).get<std::string>(), one.at(2).get<std::vector<std::uint64_t>>(),
                   one.at(3).get<std::uint64_t>()});
  return out;
}

// What the host sent; it is ours, so that it is whole.
CaseContext context_of(const Json& message) {
  CaseContext out;
  out.directory = message.at("directory").get<std::string>();
  out.catalogue = message.at("catalogue").get<std::string>();
  out.moved = message.at("moved").get<std::string>();
  out.seed = message.at("seed").get<std::uint64_t>();
  out.variant = message.at("variant").get<std::uint64_t>();
  out.steps = message.at("steps").get<std::uint64_t>();
  if (message.contains("parameters")) out.parameters = message["parameters"].get<std::uint64_t>();
  if (message.contains("stored")) {
    out.stored = stored_of(message["stored"]);
    out.has_stored = true;
  }
  for (const Json& input : message.at("inputs"))
    out.inputs.push_back({input.at("name").get<std::string>(), input.at("config"), input.at("own").get<bool>()});
  return out;
}

std::string text(const Json& message) { return message.dump(-1, ' ', false, Json::error_handler_t::replace); }

} // namespace

void case_main(int argc, const char* const* argv) {
  std::optional<Pool> pool;
  if (argc > 4 && argv[4] == kWithThreads) pool.emplace();
  ChildSide side(argc, argv);
  const Json message = Json::parse(side.receive());
  CaseContext context = context_of(message);
  context.threads = pool ? &*pool : nullptr;
  context.at = [&](const std::string& input) {
    std::fflush(nullptr);
    side.send(text({{"at", input}}));
    side.receive(); // the host gives time anew
  };
  context.note = [&](std::string_view plugin, std::string_view call) { side.note().write(plugin, context.directory, call); };
  context.disturbed = [&] { return std::string(side.disturbed()); };
  context.exit_now = [&] {
    side.send(text({{"exits", kHostsStatus}}));
    std::exit(kHostsStatus); // NOLINT(concurrency-mt-unsafe): what it is about
  };
  const CaseFunction run = find_case(message.at("rule").get<std::string>());
  Finding finding = run == nullptr ? skipped("nobody asks this") : Finding{};
  try {
    if (run != nullptr) finding = run(context);
  } catch (const std::exception& problem) {
    finding = failed(std::string("an exception left the plugin or the case: ") + problem.what());
  }
  std::fflush(nullptr);
  side.send(text({{"status", static_cast<int>(finding.status)},
                  {"detail", finding.detail},
                  {"input", finding.input},
                  {"usable", context.usable},
                  {"digests", context.digests}}));
  ::_exit(0);
}

} // namespace plimsoll::check
