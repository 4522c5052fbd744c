// What `plimsoll run` is asked to generate: one prompt of the command line, or a line each of a file. Threads: one.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/text_generation.hpp"

namespace plimsoll::cli {

// As given on the command line; it is also what a line of a file leaves out.
struct Asked {
  std::vector<std::string> prompts; // --prompt, may repeat
  std::string adapter;              // --adapter: the name of one of them
  std::string prompt_ids;           // --prompt-ids: "5,9,30"
  std::string device_backend;       // --device-backend: "cpu" or "cuda"
  std::string requests;             // --requests: a file, "-" is standard input
  std::vector<std::string> images;  // --image, may repeat: files, in the order of their placeholders
  std::uint64_t max_new_tokens = 96;
  double temperature = 0, top_p = 1;
  std::uint64_t top_k = 0, seed = 0;
  std::int32_t logprobs = 0;
  bool echo = false, ignore_end = false;
  bool any() const { return !prompts.empty() || !prompt_ids.empty() || !requests.empty(); }
};

// Images that requests have, by their files: empty until load() has read them, since the model says how pixels are normalised.
class NamedImages {
public:
  // The one of that file, which is the same for all that name it.
  std::shared_ptr<const Image> take(const std::string& file);
  bool empty() const { return images_.empty(); }
  // `model`: its folder. kBadRequest, kBadConfig.
  Result<void> load(const std::string& model);

private:
  std::map<std::string, std::shared_ptr<Image>> images_;
};
// "5,9,30". kBadRequest names the option.
Result<std::vector<Token>> token_list(std::string_view text, const std::string& option);

// kBadRequest names the option, or the file and its line.
Result<std::vector<TextGenerationRequest>> read_requests(const Asked& asked, NamedImages& images);

} // namespace plimsoll::cli
