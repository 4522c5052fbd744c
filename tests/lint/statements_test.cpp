#include "lint/statements.hpp"

#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lint/layering.hpp"
#include "lint/source_text.hpp"

namespace plimsoll::lint {
namespace {

TEST(Statements, AssignOnce) {
  for (const std::string& file : project_files(PLIMSOLL_SOURCE_DIR))
    for (const std::string& violation : check_statements(file, read_file(std::filesystem::path(PLIMSOLL_SOURCE_DIR) / file)))
      ADD_FAILURE() << violation;
}

TEST(Statements, OneThingEachIsSound) {
  for (const char* text : {"int a = 1, b = 2;", "std::uint64_t low = 0, *high = most, end = 2;", "f(a = 1, b = 2);",
                           "for (int i = 0, j = 0; i < n; ++i, ++j) {}", "Row row{.a = 1, .b = 2};", "enum { kA = 0, kB = 1 };",
                           "x = std::pair<int, int>(1, 2);", "std::map<int, int> m = n;", "// a = 1, b = 2;\nx = 1;",
                           "const char* t = \"a = 1, b = 2;\";", "auto f = [a = 1, b = 2] { return a; };", "a = b == c;",
                           "template <class A, class B = int> void f();", "case 1: a = 2; break;", "#define X a = 1, b = 2;\n"})
    EXPECT_THAT(check_statements("core/a.cpp", text), testing::IsEmpty()) << text;
}

TEST(Statements, EveryChainIsSeenWhereItBegins) {
  for (const char* text :
       {"\na = 1, b = 2;", "\nif (x) a.b = 1, c->d += 2;", "\nelse a[i] = 1, b(c).d = 2;", "\ncase kX: a = 1, ++b; break;",
        "\nfor (const auto& x : y) sum += x, ++count;", "\nreturn a = b, *this;", "\nf([&] {\n}); a = 1,\n b = 2;", "\n++a, b = 2;",
        "\nx = f(1, 2), y = 3;", "\ncase A::kX: out.a = 1, out.b = 2;", "\n*a = 1, *b = 2;"}) {
    const auto found = check_statements("core/a.cpp", text);
    ASSERT_EQ(found.size(), 1U) << text;
    EXPECT_THAT(found.front(), testing::StartsWith("core/a.cpp:")) << text;
  }
  EXPECT_THAT(check_statements("a.cpp", "void f() {\n  g([&] { a = 1, b = 2; });\n}\n"),
              testing::ElementsAre(testing::StartsWith("a.cpp:2:")));
  EXPECT_THAT(check_statements("a.md", "a = 1, b = 2;"), testing::IsEmpty());
}

} // namespace
} // namespace plimsoll::lint
