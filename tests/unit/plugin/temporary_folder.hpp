// A folder that lives as long as a test. Used by the tests of manifests, of trust and of the registry. One thread.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace plimsoll::testing {

class TemporaryFolder {
public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "plimsoll_test_XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string path(const std::string& name = {}) const { return name.empty() ? path_.string() : (path_ / name).string(); }
  // Writes a file and the folders above it.
  std::string write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name) << text;
    return path(name);
  }

private:
  std::filesystem::path path_;
};

// A manifest that is right; tests break single lines of it.
inline std::string good_manifest(const std::string& id, const std::string& version = "1.0.0") {
  return "schema: plimsoll.plugin/1\nid: " + id + "\nversion: " + version +
         "\nvendor: tests\nabi: {major: 1, minor: 0, min_host_minor: 0}\nlibrary: lib" + id + ".so\nfamilies:\n  - id: " + id +
         "\n    aspects: [attention]\n    signal_buffers: never\n    architectures: [" + id + "ForCausalLM]\n    model_types: [" + id +
         "]\n";
}

// A plugin's whole folder: `manifest`, and a file in the place of the library that it names.
inline void write_plugin(const TemporaryFolder& folder, const std::string& place, const std::string& manifest) {
  const std::size_t from = manifest.find("library: ") + 9;
  folder.write(place + "/plugin.yaml", manifest);
  folder.write(place + "/" + manifest.substr(from, manifest.find('\n', from) - from), "");
}

} // namespace plimsoll::testing
