#include "lint/named_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lint/layering.hpp"
#include "lint/source_text.hpp"

namespace plimsoll::lint {
namespace {

TEST(NamedFiles, AreAllInTheTree) {
  const auto files = project_files(PLIMSOLL_SOURCE_DIR);
  ASSERT_GT(files.size(), 20U);
  for (const std::string& file : files)
    for (const std::string& violation : check_named_files(file, read_file(std::filesystem::path(PLIMSOLL_SOURCE_DIR) / file), files))
      ADD_FAILURE() << violation;
}

const std::vector<std::string> kProject{"README.md",
                                        "core/src/kv/pool.hpp",
                                        "core/src/kv/pool.cpp",
                                        "core/include/plimsoll/host.h",
                                        "core/catalogue/models/org__name.json",
                                        "plugins/mla/README.md",
                                        "plugins/mla/shape.cpp",
                                        "tests/unit/kv/pool_test.cpp"};

TEST(NamedFiles, NamesOfFilesThatExistAreSound) {
  struct Row {
    const char* path;
    const char* text;
  };
  for (const Row& row :
       {Row{"core/src/kv/pool.cpp", "// see pool.hpp and core/src/kv/pool.hpp, kv/pool.hpp; plimsoll/host.h too\n"},
        Row{"core/src/kv/pool.cpp", "int a; /* pool.{hpp,cpp} */\n"},
        Row{"plugins/mla/README.md", "[this](../../README.md), `shape.cpp`.\n"},
        Row{"tests/CMakeLists.txt", "# tests/unit/<room>/*_test.cpp and models/<org>__<name>.json\n"},
        Row{"core/src/kv/pool.cpp", "const char* path = \"gone.hpp\"; // a literal is no comment\n"},
        Row{"core/src/kv/pool.cpp", "#include \"kv/gone.hpp\"\n"}, Row{"core/run.bash", "cat gone.md # no comment\n#include <gone.h>\n"},
        Row{"README.md", "llama.cpp reads config.json; a.json() is a call; see https://example.com/gone.md\n"},
        Row{"core/src/kv/pool.cpp", "const auto text = R\"x(// gone.hpp \" )x\"; // pool.hpp\n"},
        Row{"core/x.json", "{\"a\": \"gone.hpp\"}"}})
    EXPECT_THAT(check_named_files(row.path, row.text, kProject), testing::IsEmpty()) << row.text;
}

TEST(NamedFiles, EveryOtherNameIsSeenWhereItIs) {
  struct Row {
    const char* path;
    const char* text;
    const char* violation;
  };
  for (const Row& row :
       {Row{"core/src/kv/pool.cpp", "\n// see gone.hpp\n", "core/src/kv/pool.cpp:2: names gone.hpp,"},
        Row{"core/src/kv/pool.cpp", "int x; /* first\n gone.cpp */\n", ":2: names gone.cpp"},
        Row{"core/src/kv/pool.cpp", "// pool.{hpp,md}\n", "names pool.md"},
        Row{"core/src/kv/pool.cpp", "// plan/pool.hpp\n", "names plan/pool.hpp"},
        Row{"README.md", "[see](core/README.md)\n", "names core/README.md"},
        Row{"README.md", "`core/*/gone_*.yaml`\n", "names core/*/gone_*.yaml"},
        Row{"core/CMakeLists.txt", "set(x y) # from gone.cmake\n", "names gone.cmake"}, Row{"tests/run", "# like ol.hpp\n", "names ol.hpp"},
        Row{"core/src/kv/pool.cpp", "const char c = '\"'; // gone.hpp\n", "names gone.hpp"},
        Row{"core/src/kv/pool.cpp", "int n = 1'000; // gone.hpp\n", "names gone.hpp"}}) {
    const auto found = check_named_files(row.path, row.text, kProject);
    ASSERT_EQ(found.size(), 1U) << row.text << testing::PrintToString(found);
    EXPECT_THAT(found.front(), testing::HasSubstr(row.violation));
  }
}

} // namespace
} // namespace plimsoll::lint
