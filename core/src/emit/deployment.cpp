// See deployment.hpp.
#include "emit/deployment.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "emit/yaml_text.hpp"

namespace plimsoll {

std::vector<WrittenFlag> engine_arguments(const Deployment& deployment) {
  const FlagDeploy& deploy = deployment.table->deploy;
  std::vector<WrittenFlag> out;
  const std::string why = "the model";
  if (deploy.model_flag.empty()) out.push_back({deployment.model, std::nullopt, why});
  else out.push_back({deploy.model_flag, deployment.model, why});
  out.insert(out.end(), deployment.written.flags.begin(), deployment.written.flags.end());
  return out;
}

std::string engine_file(const Deployment& deployment) {
  const std::vector<WrittenKey>& keys = deployment.written.file;
  if (keys.empty()) return {};
  YamlText yaml;
  yaml.begin_map();
  std::vector<std::string> done;
  for (const WrittenKey& key : keys) {
    const std::string& first = key.path.front();
    if (std::find(done.begin(), done.end(), first) != done.end()) continue;
    done.push_back(first);
    yaml.key(first);
    if (key.path.size() == 1) {
      yaml.plain(key.value, key.why);
      continue;
    }
    yaml.begin_map();
    for (const WrittenKey& part : keys)
      if (part.path.size() == 2 && part.path.front() == first) {
        yaml.key(part.path.back());
        yaml.plain(part.value, part.why);
      }
    yaml.end_map();
  }
  yaml.end_map();
  return yaml.text();
}

std::string deployment_name(const Deployment& deployment) {
  constexpr std::size_t kMostLetters = 50;
  std::string text = deployment.table->engine + "-" + deployment.model.substr(deployment.model.rfind('/') + 1), out;
  for (const char c : text.substr(0, kMostLetters)) {
    const bool upper = c >= 'A' && c <= 'Z', plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (upper) out += static_cast<char>(c - 'A' + 'a');
    else if (plain) out += c;
    else if (!out.empty() && out.back() != '-') out += '-';
  }
  while (!out.empty() && out.back() == '-') out.pop_back();
  return out;
}

Result<std::string> deployment_image(const Deployment& deployment) {
  const auto image = deployment.table->deploy.images.find(deployment.vendor);
  if (image == deployment.table->deploy.images.end())
    return fail(ErrorCode::kBadRequest,
                fmt::format("no image of {} for {} devices is known; --emit command writes what it has to run", deployment.table->engine,
                            deployment.vendor.empty() ? "these" : deployment.vendor),
                "--emit");
  std::string out = image->second;
  constexpr std::string_view kRelease = "{release}";
  if (const std::size_t at = out.find(kRelease); at != std::string::npos) out.replace(at, kRelease.size(), deployment.release);
  return out;
}

std::string comment_text(const std::string& text) {
  std::string out;
  for (const char c : text) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return out;
}

} // namespace plimsoll
