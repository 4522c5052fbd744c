// The bare loop over a checkpoint's headers: every shard's header read and walked with simdjson on demand, shapes and
// offsets included, nothing kept but the sum of the bytes. What reading a checkpoint directory is measured against.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <iostream>
#include <simdjson.h>
#include <string>
#include <unistd.h>
#include <vector>

namespace {

std::uint64_t scan(simdjson::ondemand::parser& parser, const std::string& path, std::vector<char>& text) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  std::uint64_t length = 0;
  if (file < 0 || ::pread(file, &length, 8, 0) != 8 || length > 100'000'000) return 0;
  if (text.size() < length + simdjson::SIMDJSON_PADDING) text.resize(length + simdjson::SIMDJSON_PADDING);
  if (::pread(file, text.data(), length, 8) != static_cast<ssize_t>(length)) return 0;
  ::close(file);
  std::uint64_t bytes = 0;
  auto document = parser.iterate(text.data(), length, text.size());
  for (auto field : document.get_object()) {
    const std::string_view name = field.unescaped_key();
    if (name == "__metadata__") continue;
    for (auto fact : field.value().get_object()) {
      const std::string_view key = fact.unescaped_key();
      if (key == "dtype") {
        bytes += std::string_view(fact.value().get_string()).empty() ? 1U : 0U;
      } else {
        std::uint64_t first = 0, last = 0, index = 0;
        for (std::uint64_t number : fact.value().get_array()) (index++ == 0 ? first : last) = number;
        if (key == "data_offsets") bytes += last - first;
      }
    }
  }
  return bytes;
}

} // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  std::vector<std::string> shards;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1]))
    if (entry.path().extension() == ".safetensors") shards.push_back(entry.path().string());
  std::sort(shards.begin(), shards.end());
  simdjson::ondemand::parser parser;
  std::vector<char> text;
  std::uint64_t bytes = 0;
  for (const std::string& shard : shards) bytes += scan(parser, shard, text);
  std::cout << bytes << "\n";
}
