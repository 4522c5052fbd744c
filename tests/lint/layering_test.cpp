#include "lint/layering.hpp"

#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>

namespace plimsoll::lint {
namespace {

namespace fs = std::filesystem;

TEST(Layering, TheTreeIsSound) {
  const auto files = project_files(PLIMSOLL_SOURCE_DIR);
  ASSERT_GT(files.size(), 20U);
  for (const std::string& violation : check_tree(PLIMSOLL_SOURCE_DIR, files)) ADD_FAILURE() << violation;
}

// A tree with one fault each, so that a check that sees nothing is noticed.
class BadTree : public testing::Test {
protected:
  BadTree() { fs::create_directories(root_); }
  ~BadTree() override { fs::remove_all(root_); }
  std::vector<std::string> check(const std::string& path, const std::string& text) {
    fs::remove_all(root_);
    for (const auto& [name, content] : std::map<std::string, std::string>{
             {path, text}, // first: it stands for what follows
             {"core/abi/include/plimsoll/abi.h", "#include <stdint.h>\n"},
             {"core/include/plimsoll/host.hpp", "#include \"plimsoll/abi.h\"\n#include <tl/expected.hpp>\n"},
             {"core/src/base/checked.hpp", "#include <cstdint>\n"},
             {"core/src/model/config.hpp", "#include \"base/checked.hpp\"\n"},
             {"core/src/plan/plan.hpp", "#include \"model/config.hpp\"\n"},
             {"sdk/include/plimsoll/plugin.hpp", "#include \"plimsoll/abi.h\"\n"},
             {"plugins/mla/planner.cpp", "#include \"parts.hpp\"\n#include <plimsoll/plugin.hpp>\n#include <string>\n"},
             {"plugins/mla/parts.hpp", ""},
             {"plugins/moe/experts.hpp", ""},
             {"sdk/include/plimsoll/plugin/glue.hpp", "#include \"plimsoll_identity.h\"\n"},
             {"plugins/moe/plain.c", "#include \"plimsoll_identity.h\"\n"},
             {"sdk/examples/one/one.c", "#include <plimsoll/abi.h>\n#include \"plimsoll_identity.h\"\n"},
             {"tools/plimsoll/table.hpp", ""},
         }) {
      fs::create_directories((root_ / name).parent_path());
      std::ofstream(root_ / name) << content;
    }
    return check_tree(root_, project_files(root_));
  }
  fs::path root_ = fs::temp_directory_path() / "plimsoll-bad-tree";
};

TEST_F(BadTree, IsSoundWithoutAFault) {
  EXPECT_THAT(check("core/src/plan/more.cpp", "#include \"plan/plan.hpp\"\n#include <fmt/format.h>\n#include <sys/stat.h>\n"),
              testing::IsEmpty());
}

TEST_F(BadTree, EveryFaultIsSeenWhereItIs) {
  struct Row {
    const char* path;
    std::string text;
    const char* violation;
  };
  for (const Row& row : {
           Row{"core/abi/include/plimsoll/abi.h", "#include <stdint.h>\n#include <stdio.h>\n", ":2: includes stdio.h"},
           Row{"core/abi/include/plimsoll/abi.h", "#include \"plimsoll/host.hpp\"\n", "the ABI includes nothing"},
           Row{"core/include/plimsoll/more.hpp", "#include \"base/checked.hpp\"\n", "public headers include only public headers"},
           Row{"core/include/plimsoll/more.hpp", "#include <fmt/format.h>\n", "belongs to core/src/ tools/ only"},
           Row{"core/src/base/more.cpp", "#include \"model/config.hpp\"\n", "room base stands below model"},
           Row{"core/src/model/more.cpp", "  #  include \"plan/plan.hpp\"\n", "room model stands below plan"},
           Row{"core/src/device/more.cpp", "#include \"base/checked.hpp\"\n#include \"model/config.hpp\"\n",
               "room device stands below model"},
           Row{"core/src/kv_cache/more.cpp", "#include \"plan/plan.hpp\"\n", "room kv_cache may include only: base"},
           Row{"core/src/cellar/more.cpp", "#include \"base/checked.hpp\"\n", "'cellar' is no room"},
           Row{"core/src/plan/more.cpp", "#include <plimsoll/plugin.hpp>\n", "the core includes only itself"},
           Row{"core/src/plan/more.cpp", "#include \"plan/gone.hpp\"\n", "no file of the project"},
           Row{"core/src/plan/more.cpp", "#include <boost/dll.hpp>\n", "belongs to core/src/plugin/library.cpp"},
           Row{"core/src/device/device.cpp", "#include <cuda_runtime_api.h>\n", "belongs to core/src/device/cuda.cpp"},
           Row{"core/src/plan/more.cpp", "#include <CLI/CLI.hpp>\n", "belongs to tools/"},
           Row{"sdk/include/plimsoll/more.hpp", "#include \"plimsoll/host.hpp\"\n", "the SDK includes only the ABI"},
           Row{"sdk/include/plimsoll/more.hpp", "#include <yaml-cpp/yaml.h>\n", "standard library only"},
           Row{"plugins/mla/more.cpp", "#include <fmt/format.h>\n", "standard library only"},
           Row{"plugins/mla/more.cpp", "#include <unistd.h>\n", "standard library only"},
           Row{"plugins/mla/more.cpp", "#include \"../moe/experts.hpp\"\n", "a plugin includes only the SDK"},
           Row{"plugins/mla/more.cpp", "#include \"plimsoll/host.hpp\"\n", "a plugin includes only the SDK"},
           Row{"plugins/mla/more.cpp", "#include \"plimsoll_identity_of_mine.h\"\n", "no file of the project"},
           Row{"sdk/include/plimsoll/plugin/reading.hpp", "#include \"plimsoll_identity.h\"\n", "which is made for plugins only"},
           Row{"core/src/plugin/identity.cpp", "#include \"plimsoll_identity.h\"\n", "which is made for plugins only"},
           Row{"tools/plimsoll/main.cpp", "\n#include \"plimsoll_identity.h\"\n", ":2: includes plimsoll_identity.h"},
           Row{"plugins/mla/CMakeLists.txt", "target_link_libraries(x y)\n", "through plimsoll_add_plugin"},
           Row{"tools/plimsoll/main.cpp", "#include \"plan/plan.hpp\"\n", "tools include only core/include"},
           Row{"notes.txt", "", "does not belong to the top level"},
           Row{"docs/notes.txt", "", "does not belong to the top level"},
           Row{"tools/plimsoll/main.cpp", std::string("\n// TO") + "DO: later\n", ":2: holds the forbidden word"},
           Row{"tests/a_test.cpp", std::string("// FIX") + "ME\n", ":1: holds the forbidden word"},
           Row{"core/README.md", std::string("see /wo") + "rk/notes\n", "forbidden word"},
           Row{"tools/run", std::string("cd \"/ho") + "me/me\"\n", "forbidden word"},
       }) {
    const auto found = check(row.path, row.text);
    ASSERT_EQ(found.size(), 1U) << row.path << ": " << row.text << testing::PrintToString(found);
    EXPECT_THAT(found.front(), testing::AllOf(testing::StartsWith(std::string(row.path).substr(0, 4)), testing::HasSubstr(row.violation)));
  }
}

} // namespace
} // namespace plimsoll::lint
