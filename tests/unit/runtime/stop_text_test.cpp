// Text of a request as its tokens come, up to a stop string; byte tokens, so that a token is a byte.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/stop_text.hpp"

namespace plimsoll::stop_text_test {
namespace {

using ::testing::HasSubstr;

// A byte is its token.
class Bytes : public Tokenizer {
public:
  Result<std::vector<Token>> encode(std::string_view text) const override {
    std::vector<Token> out;
    for (const char c : text) out.push_back(static_cast<unsigned char>(c));
    return out;
  }
  Result<void> append_text(Token token, bool&, std::string& text) const override {
    if (token < 0 || token > 255) return fail(ErrorCode::kBadRequest, "no byte");
    text += static_cast<char>(token);
    return {};
  }
  std::string_view name() const override { return "test"; }
  std::uint32_t vocab_size() const override { return 256; }
  std::optional<Token> bos() const override { return std::nullopt; }
  std::span<const Token> stop_tokens() const override { return {}; }
};

struct StopCase {
  std::vector<std::string> stops;
  std::string generated, text;
  bool stopped;
};
TEST(StopText, EndsBeforeTheFirstStopStringWhateverItsTokens) {
  const Bytes tokenizer;
  const std::vector<StopCase> cases{
      {{}, "all of it", "all of it", false},
      {{"\n\n"}, "one\ntwo\n\nthree", "one\ntwo", true},
      {{"END"}, "the EN of it", "the EN of it", false},
      {{"END"}, "the EN", "the EN", false},
      {{"END"}, "the EEND.", "the E", true},
      {{"abab"}, "aababab", "a", true},
      {{"xyz", "yz"}, "wxyz", "w", true},
      {{"yz", "wxyzz"}, "wxyz", "wx", true},
      {{"END"}, "END", "", true},
      {{"é"}, "caf\xC3\xA9", "caf", true},
      {{"z"}, "caf\xC3", "caf\xC3", false},
  };
  for (const StopCase& c : cases) {
    StopText text(tokenizer, c.stops);
    std::string out;
    for (const char byte : c.generated) {
      if (text.stopped()) break;
      const auto piece = text.push(static_cast<unsigned char>(byte));
      ASSERT_TRUE(piece);
      out += *piece;
      EXPECT_EQ(c.text.substr(0, out.size()), out) << "nothing is told that is not text";
    }
    out += text.finish();
    EXPECT_EQ(out, c.text) << c.generated;
    EXPECT_EQ(text.stopped(), c.stopped) << c.generated;
  }
}

TEST(StopText, HoldsBackNoMoreThanCouldBecomeAStop) {
  const Bytes tokenizer;
  StopText text(tokenizer, {"abc"});
  EXPECT_EQ(text.push('x').value(), "x");
  EXPECT_EQ(text.push('a').value(), "");
  EXPECT_EQ(text.push('b').value(), "");
  EXPECT_EQ(text.push('a').value(), "ab");
  EXPECT_EQ(text.push('!').value(), "a!");
  EXPECT_FALSE(text.push(999));
  EXPECT_EQ(text.finish(), "");
}

TEST(StopText, StringsAreFewAndShort) {
  EXPECT_TRUE(check_stop_strings(std::vector<std::string>(kMostStopStrings, std::string(kMostStopBytes, 'x'))));
  EXPECT_FALSE(check_stop_strings(std::vector<std::string>(kMostStopStrings + 1, "x")));
  EXPECT_FALSE(check_stop_strings(std::vector<std::string>{std::string(kMostStopBytes + 1, 'x')}));
  const auto empty = check_stop_strings(std::vector<std::string>{"a", ""});
  ASSERT_FALSE(empty);
  EXPECT_THAT(empty.error().message, HasSubstr("0 B"));
}

} // namespace
} // namespace plimsoll::stop_text_test
