// The mutation loop of every fuzz target; see fuzz.hpp. Needs no fuzzing engine, so any compiler runs it; the same
// seed gives the same inputs. It knows nothing of formats but which bytes matter in text.
#include "fuzz/fuzz.hpp"

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <iostream>
#include <random>
#include <sstream>
#include <sys/time.h>
#include <unistd.h>

extern "C" void __sanitizer_set_death_callback(void (*)()) __attribute__((weak));

namespace {

constexpr std::size_t kMaxInputBytes = 1U << 16;
constexpr time_t kInputSeconds = 10;    // of CPU: what else the machine does takes none of it
constexpr unsigned kStuckSeconds = 120; // of waiting

std::string current; // the input at work
std::string crash_path;

void keep_input() {
  const int file = open(crash_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (file < 0) return;
  for (std::size_t at = 0; at < current.size();) {
    const ssize_t written = write(file, current.data() + at, current.size() - at);
    if (written <= 0) break;
    at += static_cast<std::size_t>(written);
  }
  close(file);
  const char words[] = "fuzz: the input was kept in the .crash file\n";
  if (write(2, words, sizeof words - 1) < 0) return;
}

void on_signal(int number) {
  keep_input();
  signal(number, SIG_DFL);
  raise(number);
}

std::uint64_t environment_number(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr && *text != '\0' ? std::strtoull(text, nullptr, 10) : otherwise;
}

class Mutator {
public:
  Mutator(std::uint64_t seed, const std::vector<std::string>& corpus) : random_(seed), corpus_(corpus) {}

  std::string next() {
    std::string out = pick();
    for (std::size_t edits = 1 + below(6); edits > 0; --edits) edit(out);
    if (out.size() > kMaxInputBytes) out.resize(kMaxInputBytes);
    return out;
  }

private:
  std::size_t below(std::size_t end) { return end == 0 ? 0 : static_cast<std::size_t>(random_() % end); }
  const std::string& pick() { return corpus_[below(corpus_.size())]; }

  void edit(std::string& text) {
    static const std::vector<std::string> words{"0",
                                                "-1",
                                                "18446744073709551615",
                                                "18446744073709551616",
                                                "9223372036854775808",
                                                "1e400",
                                                "4294967296",
                                                "\"",
                                                "\\",
                                                "{",
                                                "}",
                                                "[",
                                                "]",
                                                ":",
                                                ",",
                                                "\n",
                                                "null",
                                                "true",
                                                "\\ud800",
                                                "\xff",
                                                std::string(1, '\0'),
                                                "&a *a",
                                                "!!binary",
                                                "<<: ",
                                                "/",
                                                "..",
                                                "{layer}",
                                                "\t",
                                                "#",
                                                "=",
                                                "1.5",
                                                "NaN"};
    const std::size_t at = below(text.size() + 1);
    const std::size_t length = below(std::min<std::size_t>(text.size() - at, 16) + 1);
    switch (below(8)) {
    case 0:
      if (at < text.size()) text[at] = static_cast<char>(random_());
      break;
    case 1: text.erase(at, length); break;
    case 2: text.insert(at, words[below(words.size())]); break;
    case 3: text.replace(at, length, words[below(words.size())]); break;
    case 4: text.insert(at, text.substr(below(text.size() + 1), below(64))); break;
    case 5: {
      const std::string& other = pick();
      const std::size_t from = below(other.size() + 1);
      text = text.substr(0, at) + other.substr(from);
      break;
    }
    case 6:
      if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
      break;
    default: {
      const std::string piece = text.substr(at, length);
      for (std::size_t copies = below(64); copies > 0 && text.size() < kMaxInputBytes; --copies) text.insert(at, piece);
    }
    }
  }

  std::mt19937_64 random_;
  const std::vector<std::string>& corpus_;
};

// 0 for none.
void limit(time_t cpu_seconds, unsigned seconds) {
  const itimerval cpu{{0, 0}, {cpu_seconds, 0}};
  setitimer(ITIMER_PROF, &cpu, nullptr);
  alarm(seconds);
}

void run(std::string input) {
  current = std::move(input);
  limit(kInputSeconds, kStuckSeconds);
  // A copy of the exact size, so that a read past the end is seen.
  const std::vector<char> exact(current.begin(), current.end());
  plimsoll::fuzz::fuzz_one(std::string_view(exact.data(), exact.size()));
  limit(0, 0);
}

} // namespace

int main(int argc, char** argv) {
  crash_path = std::string(argv[0]) + ".crash";
  for (const int number : {SIGABRT, SIGALRM, SIGPROF, SIGFPE, SIGILL}) signal(number, on_signal);
  if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(keep_input);
  else signal(SIGSEGV, on_signal);
  if (argc == 2 && argv[1][0] != '-') {
    std::ifstream in(argv[1], std::ios::binary);
    std::ostringstream bytes;
    bytes << in.rdbuf();
    run(bytes.str());
    return 0;
  }
  const std::uint64_t seconds = environment_number("PLIMSOLL_FUZZ_SECONDS", 1), seed = environment_number("PLIMSOLL_FUZZ_SEED", 1);
  const std::vector<std::string> corpus = plimsoll::fuzz::seeds();
  for (const std::string& input : corpus) run(input);
  Mutator mutator(seed, corpus);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  std::uint64_t inputs = 0;
  for (; std::chrono::steady_clock::now() < end; ++inputs) run(mutator.next());
  std::cout << inputs << " inputs from " << corpus.size() << " seeds, PLIMSOLL_FUZZ_SEED=" << seed << "\n";
  return 0;
}
