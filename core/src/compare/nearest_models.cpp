#include "compare/nearest_models.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>
#include <tuple>

#include "base/digit.hpp"
#include "base/words.hpp"

namespace plimsoll {
namespace {

constexpr std::size_t kMostWords = 32, kMostProposed = 3, kMostNameBytes = 512, kMostEntries = 10'000;

using NameWords = std::vector<std::string>;

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// What names of a quantised copy add to those of the model.
bool of_a_format(const std::string& word) {
  constexpr std::array<std::string_view, 22> kWords{"awq",   "gptq",      "gguf", "fp8",   "fp4",    "nvfp4",    "mxfp4",     "int4",
                                                    "int8",  "4bit",      "8bit", "w4a16", "w8a8",   "dynamic",  "autoround", "auto",
                                                    "round", "quantized", "bf16", "hf",    "models", "snapshots"};
  const bool ggml = word.size() >= 2 && (word[0] == 'q' || word.starts_with("iq")) && word.size() <= 4 && is_digit(word[word.size() - 1]);
  return ggml || std::find(kWords.begin(), kWords.end(), word) != kWords.end();
}

// "Qwen3.6-27B" is qwen, 3.6, 27b: letters, and numbers with what stands behind them.
NameWords words_of(std::string_view called) {
  const std::string name = lower_case(called);
  NameWords out;
  std::string word;
  const auto end = [&] {
    if (!word.empty() && out.size() < kMostWords && !of_a_format(word)) out.push_back(word);
    word.clear();
  };
  for (std::size_t at = 0; at < name.size(); ++at) {
    const char c = name[at];
    const bool decimal = c == '.' && at > 0 && at + 1 < name.size() && is_digit(name[at - 1]) && is_digit(name[at + 1]);
    if (!is_letter(c) && !is_digit(c) && !decimal) {
      end();
      continue;
    }
    // A number behind a word of its own is another word: qwen3 is one of a series, int4 is not.
    const auto whole = static_cast<std::size_t>(
        std::find_if_not(name.begin() + static_cast<std::ptrdiff_t>(at), name.end(), [](char d) { return is_letter(d) || is_digit(d); }) -
        name.begin());
    if (is_digit(c) && word.size() > 1 && std::all_of(word.begin(), word.end(), is_letter) &&
        !of_a_format(word + name.substr(at, whole - at)))
      end();
    word += c;
  }
  end();
  return out;
}

// The part of a path that names the model: its last, or of the Hugging Face cache the repository.
std::string_view own_name(std::string_view called) {
  called = called.substr(0, kMostNameBytes);
  while (called.ends_with('/')) called.remove_suffix(1);
  if (const std::size_t repository = called.find("models--"); repository != std::string_view::npos) {
    called.remove_prefix(repository);
    return called.substr(0, called.find('/'));
  }
  return called.substr(called.rfind('/') + 1);
}

// Shared words count for what they tell: a size or a version more than a family, and what only one of the two has counts against.
double likeness(const NameWords& a, const NameWords& b) {
  double shared = 0, other = 0;
  bool family = false;
  const auto weight = [](const std::string& word) { return is_digit(word[0]) ? 2.0 : 1.5; };
  for (const std::string& word : a) {
    const bool both = std::find(b.begin(), b.end(), word) != b.end();
    (both ? shared : other) += weight(word);
    family = family || (both && !is_digit(word[0]) && word.size() > 1);
  }
  for (const std::string& word : b)
    if (std::find(a.begin(), a.end(), word) == a.end()) other += 0.5 * weight(word);
  return family ? shared / (shared + other) : 0;
}

} // namespace

std::vector<std::string> nearest_models(const std::string& catalogue_path, std::string_view called) {
  constexpr double kAlikeEnough = 0.4;
  const NameWords wanted = words_of(own_name(called));
  std::vector<std::pair<double, std::string>> ranked;
  std::error_code failed;
  std::size_t seen = 0;
  for (std::filesystem::directory_iterator it(catalogue_path + "/models", failed), end; !failed && it != end && seen < kMostEntries;
       it.increment(failed), ++seen) {
    std::string name = it->path().stem().string();
    if (it->path().extension() != ".json") continue;
    if (const std::size_t separator = name.find("__"); separator != std::string::npos) name.replace(separator, 2, "/");
    const double like = likeness(wanted, words_of(own_name(name)));
    if (like >= kAlikeEnough) ranked.emplace_back(-like, std::move(name));
  }
  std::sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { // of names alike the one that says least besides
    return std::tuple(a.first, a.second.size(), a.second) < std::tuple(b.first, b.second.size(), b.second);
  });
  std::vector<std::string> out;
  for (std::size_t i = 0; i < std::min(kMostProposed, ranked.size()); ++i) out.push_back(std::move(ranked[i].second));
  return out;
}

} // namespace plimsoll
