// THR, RES and BOX: threads, what is left behind, and the process around the plugin.
#include <algorithm>
#include <chrono>
#include <clocale>
#include <cstdlib>
#include <fmt/format.h>
#include <malloc.h>
#include <mutex>

#include "check/cases.hpp"
#include "check/process_state.hpp"
#include "plugin/calls.hpp"

namespace plimsoll::check {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kRounds = 20, kCycles = 50;
constexpr std::chrono::microseconds kQuickCreate{5000}, kQuickCall{1000};
constexpr std::chrono::seconds kLongest{2};

Finding threads_agree(CaseContext& context) {
  return for_each_input(context, [&](Subject& subject, const Input& input) {
    const auto tree = subject.tree(input.config);
    if (!tree) return skipped(tree.error().message);
    const std::vector<std::string> expected = subject.answers(**tree);
    subject.shim().quiet = true;
    std::mutex mutex;
    std::string difference;
    context.threads->run([&](std::size_t) {
      for (int i = 0; i < kRounds; ++i) {
        std::string own = first_difference(expected, subject.answers(**tree));
        if (own.empty()) continue;
        const std::lock_guard lock(mutex);
        difference = std::move(own);
        return;
      }
    });
    return difference.empty() ? passed() : failed("asked on several threads at once, " + difference);
  });
}

Finding threads_create(CaseContext& context) {
  return for_each_input(context, [&](Subject& subject, const Input& input) {
    const auto tree = subject.tree(input.config);
    if (!tree) return skipped(tree.error().message);
    const std::string expected = subject.weights(**tree).text();
    subject.shim().quiet = true;
    std::mutex mutex;
    std::string wrong;
    context.threads->run([&](std::size_t) {
      for (int i = 0; i < kRounds; ++i) {
        const auto own = subject.tree(input.config);
        std::string found = own ? std::string() : own.error().message;
        if (own && subject.weights(**own).text() != expected) found = "it declares other weights";
        if (found.empty()) continue;
        const std::lock_guard lock(mutex);
        wrong = std::move(found);
        return;
      }
    });
    return wrong.empty() ? passed() : failed("made on several threads at once, " + wrong);
  });
}

Finding asked_while_it_answers(CaseContext& context) {
  return for_each_input(context, [](Subject& subject, const Input& input) {
    const auto tree = subject.tree(input.config);
    if (!tree) return skipped(tree.error().message);
    const std::string weights = subject.weights(**tree).text(), kv = subject.kv(**tree).text();
    std::string inner = kv;
    Recorder outer;
    bool once = false;
    outer.between = [&] {
      if (!std::exchange(once, true)) inner = subject.kv(**tree).text();
    };
    plimsoll_error err = blank_error();
    const plimsoll_status status = call_weights((*tree)->root(), PLIMSOLL_ASPECT_ALL, outer.sink(), &err);
    if (status != PLIMSOLL_OK) return failed(fmt::format("weights() answers {} when the host asks for kv() meanwhile", status));
    const std::string difference = first_difference({weights, kv}, {outer.emitted.text(), inner});
    return difference.empty() ? passed() : failed("asked while it answers, " + difference);
  });
}

// Makes, asks and destroys.
void cycle(Subject& subject, const Json& config) {
  if (const auto tree = subject.tree(config)) subject.answers(**tree);
}

constexpr int kWindows = 10;

Finding leaks_no_memory(CaseContext& context) {
  return for_each_input(context, [](Subject& subject, const Input& input) {
    if (const auto tree = subject.tree(input.config); !tree) return skipped(tree.error().message);
    subject.shim().quiet = true;
    const auto taken = [] {
      const struct mallinfo2 info = ::mallinfo2();
      return info.uordblks + info.hblkhd;
    };
    for (int i = 0; i < kCycles / 4; ++i) cycle(subject, input.config);
    std::size_t before = taken();
    if (before == 0) return skipped("this build counts no memory");
    // What the allocator keeps for itself comes and goes; what leaks grows in every window.
    std::size_t least = SIZE_MAX;
    for (int window = 0; window < kWindows; ++window) {
      for (int i = 0; i < kCycles; ++i) cycle(subject, input.config);
      const std::size_t after = taken();
      least = std::min(least, after > before ? after - before : 0);
      if (least < 8 * kCycles) return passed();
      before = after;
    }
    return failed(fmt::format("{} planners that were made, asked and destroyed left {} B behind", kCycles, least));
  });
}

Finding leaks_no_files(CaseContext& context) {
  return for_each_input(context, [](Subject& subject, const Input& input) {
    if (const auto tree = subject.tree(input.config); !tree) return skipped(tree.error().message);
    subject.shim().quiet = true;
    cycle(subject, input.config);
    const ProcessState before = ProcessState::now();
    for (int i = 0; i < kCycles; ++i) cycle(subject, input.config);
    const ProcessState after = ProcessState::now();
    if (after.files > before.files) return failed(fmt::format("{} planners left {} files open", kCycles, after.files - before.files));
    if (after.mappings > before.mappings + kCycles / 2)
      return failed(fmt::format("{} planners left {} mappings behind", kCycles, after.mappings - before.mappings));
    return passed();
  });
}

Finding is_quick(CaseContext& context) {
  return for_each_input(context, [](Subject& subject, const Input& input) {
    std::vector<Clock::duration> creates, calls;
    for (int i = 0; i < 9; ++i) {
      const auto begin = Clock::now();
      const auto tree = subject.tree(input.config);
      const auto made = Clock::now();
      if (!tree) return skipped(tree.error().message);
      subject.weights(**tree);
      creates.push_back(made - begin);
      calls.push_back(Clock::now() - made);
    }
    std::sort(creates.begin(), creates.end());
    std::sort(calls.begin(), calls.end());
    const auto us = [](Clock::duration d) { return std::chrono::duration_cast<std::chrono::microseconds>(d); };
    const auto create = us(creates[4]), call = us(calls[4]);
    if (std::max(create, call) > kLongest) return failed(fmt::format("create takes {} us, weights() {} us", create.count(), call.count()));
    if (create > kQuickCreate || call > kQuickCall)
      return warned(fmt::format("create takes {} us ({} should do), weights() {} us ({} should do)", create.count(), kQuickCreate.count(),
                                call.count(), kQuickCall.count()));
    return passed();
  });
}

Finding small_stack_suffices(CaseContext& context) {
  return for_each_input(context, [&](Subject& subject, const Input& input) {
    if (const auto tree = subject.tree(input.config); !tree) return skipped(tree.error().message);
    context.threads->run_small([&] { cycle(subject, input.config); });
    return passed();
  });
}

// The kernel ends the process of who starts anything; what is left to do is to call everything.
Finding starts_nothing(CaseContext& context) {
  auto subject = Subject::open(context.directory, context.catalogue, context.note);
  if (!subject) return skipped(subject.error().message);
  for (const Input& input : context.inputs) {
    context.at(input.name);
    cycle(**subject, input.config);
    (void)(*subject)->model(input.config);
  }
  (*subject)->shim().fini();
  return passed();
}

// What loading it printed is LOAD-03's.
Finding prints_nothing(CaseContext& context) {
  return for_each_input(context, [&](Subject& subject, const Input& input) {
    const std::string before = context.disturbed();
    cycle(subject, input.config);
    const std::string after = context.disturbed();
    return after != before && after.starts_with("printed ") ? failed("it " + after) : passed();
  });
}

Finding calls_leave_process_alone(CaseContext& context) {
  return for_each_input(context, [&](Subject& subject, const Input& input) {
    const ProcessState before = ProcessState::now();
    cycle(subject, input.config);
    const std::string changed = before.change_to(ProcessState::now());
    if (!changed.empty()) return failed("its calls " + changed);
    const std::string disturbed = context.disturbed();
    return disturbed.empty() || disturbed.starts_with("printed ") ? passed() : failed("it " + disturbed);
  });
}

Finding environment_does_not_matter(CaseContext& context) {
  return for_each_input(context, [](Subject& subject, const Input& input) {
    const auto tree = subject.tree(input.config);
    if (!tree) return skipped(tree.error().message);
    const std::vector<std::string> expected = subject.answers(**tree);
    const auto compare = [&](const char* what) {
      const auto other = subject.tree(input.config);
      if (!other) return fmt::format("{} create fails: {}", what, other.error().message);
      const std::string difference = first_difference(expected, subject.answers(**other));
      return difference.empty() ? std::string() : fmt::format("{}, {}", what, difference);
    };
    ::clearenv(); // NOLINT(concurrency-mt-unsafe): this process has one thread
    std::string wrong = compare("without an environment");
    for (const char* name : {"HOME", "LANG", "LC_ALL", "TZ", "PATH", "TMPDIR", "USER", "HF_HOME", "XDG_DATA_HOME", "OMP_NUM_THREADS"})
      ::setenv(name, "1", 1); // NOLINT(concurrency-mt-unsafe)
    if (wrong.empty()) wrong = compare("with another environment");
    for (const char* locale : {"de_DE.UTF-8", "tr_TR.UTF-8", "C.UTF-8"})
      if (wrong.empty() && ::setlocale(LC_ALL, locale) != nullptr) wrong = compare("with another locale"); // NOLINT(concurrency-mt-unsafe)
    ::setlocale(LC_ALL, "C");                                                                              // NOLINT(concurrency-mt-unsafe)
    return wrong.empty() ? passed() : failed(wrong);
  });
}

} // namespace

const std::vector<Case>& process_cases() {
  static const std::vector<Case> cases{{"THR-01", threads_agree},
                                       {"THR-02", threads_create},
                                       {"THR-03", asked_while_it_answers},
                                       {"RES-01", leaks_no_memory},
                                       {"RES-02", leaks_no_files},
                                       {"RES-03", is_quick},
                                       {"RES-04", small_stack_suffices},
                                       {"BOX-01", starts_nothing},
                                       {"BOX-02", prints_nothing},
                                       {"BOX-03", calls_leave_process_alone},
                                       {"BOX-04", environment_does_not_matter}};
  return cases;
}

} // namespace plimsoll::check
