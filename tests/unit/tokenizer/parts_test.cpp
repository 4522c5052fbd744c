// The parts of which tokenizers are made: patterns, words, merges, tables, characters.
#include <algorithm>
#include <chrono>
#include <gmock/gmock.h>
#include <random>

#include "tokenizer/added_tokens.hpp"
#include "tokenizer/bpe.hpp"
#include "tokenizer/byte_alphabet.hpp"
#include "tokenizer/byte_piece.hpp"
#include "tokenizer/pattern.hpp"
#include "tokenizer/published_patterns.hpp"
#include "tokenizer/split.hpp"
#include "tokenizer/text_steps.hpp"
#include "tokenizer/utf8.hpp"

namespace plimsoll {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> texts_of(std::string_view text, const std::vector<Span>& spans) {
  std::vector<std::string> out;
  for (const Span& span : spans) out.emplace_back(text.substr(span.begin, span.end - span.begin));
  return out;
}
std::vector<std::string> matches(std::string_view expression, std::string_view text) {
  const auto pattern = Pattern::regex(std::string(expression));
  EXPECT_TRUE(pattern) << pattern.error().message;
  const auto found = pattern->matches(text);
  EXPECT_TRUE(found) << found.error().message;
  return texts_of(text, *found);
}

TEST(Pattern, FindsWhatPublishedPatternsMean) {
  EXPECT_THAT(matches(kGpt2Pattern, "I'm 42  years\n"), ElementsAre("I", "'m", " 42", " ", " years", "\n"));
  EXPECT_THAT(matches(R"(\p{N}{1,3})", "12345\u0664\u0665"), ElementsAre("123", "45\u0664", "\u0665"));
  EXPECT_THAT(matches(R"((?i:'s))", "'s'S'\u017f"), ElementsAre("'s", "'S", "'\u017f"));
  EXPECT_THAT(matches(R"(\s+)", "a\u00a0\u2028\u3000b\u180e\u200bc"), ElementsAre("\u00a0\u2028\u3000")); // U+180E is no space
  EXPECT_THAT(matches(R"([^\S\n]+)", "a \t\n b"), ElementsAre(" \t", " "));
  EXPECT_THAT(matches(R"(x$)", "x\nax\nxb"), ElementsAre("x", "x")); // of lines
  EXPECT_THAT(matches("\\p{Han}+", "a\u4e2d\u6587b"), ElementsAre("\u4e2d\u6587"));
}

TEST(Pattern, EmptyMatchesAdvance) {
  const std::vector<Span> found = Pattern::regex("(?=b)|a")->matches("abab").value();
  EXPECT_THAT(texts_of("abab", found), ElementsAre("a", "", "a", ""));
  EXPECT_EQ(found[3].begin, 3U);
  EXPECT_EQ(Pattern::regex("x*")->matches("\u00e9\u00e9").value().size(), 3U);
  EXPECT_EQ(Pattern::regex("x*")->matches("").value().size(), 0U);
}

TEST(Pattern, BrokenBytesMatchNothingAndEndTheText) {
  EXPECT_THAT(matches(R"(.+)", "ab\xff"
                               "cd\xc3"),
              ElementsAre("ab", "cd"));
  EXPECT_THAT(matches(R"(\s+(?!\S)|\s+)", "  \xff  a"), ElementsAre("  ", " ", " "));
}

TEST(Pattern, LongMatchesAreWhole) {
  for (const std::size_t length : {511U, 512U, 513U, 100'000U}) {
    std::string text(length, 'a');
    EXPECT_THAT(texts_of(text + " b", Pattern::regex(R"(\p{L}+)")->matches(text + " b").value()), ElementsAre(text, "b")) << length;
    std::string wide;
    for (std::size_t i = 0; i < length; ++i) wide += "\u00e9";
    EXPECT_EQ(Pattern::regex(R"(\p{L}+)")->matches(wide).value().size(), 1U);
    EXPECT_EQ(Pattern::regex(R"(\s+(?!\S)|\s+)")->matches(std::string(length, ' ') + "b").value().size(), 2U);
    EXPECT_THAT(Pattern::regex("zz")->matches(text + "zz").value(), testing::SizeIs(1));
  }
}

TEST(Pattern, RefusesWhatItWouldReadDifferently) {
  for (const char* const expression : {"[a[b]]", "[a&&b]", "\\h", "\\Qa", "(", "a{2", "[a", "\\", "*", "(?<a"}) {
    const auto pattern = Pattern::regex(expression);
    if (std::string_view(expression) == "a{2") {
      EXPECT_TRUE(pattern); // text, for both
      continue;
    }
    ASSERT_FALSE(pattern) << expression;
    EXPECT_EQ(pattern.error().code, ErrorCode::kBadConfig);
  }
  EXPECT_FALSE(Pattern::regex(std::string(Pattern::kMaxPatternBytes + 1, 'a')));
}

// Each would take minutes or for ever if it were let.
TEST(Pattern, HostileOnesEndSoon) {
  const std::string as(200'000, 'a');
  for (const char* const expression : {"(a*)*b", "(a|a)*b", "(a+)+$b", "(?:a|aa)+b", "(?=.*b)a", "(?=[^b]*b)a", "a*?b",
                                       "(?:(?=[^x]*x)|(?=[^y]*y)|(?=[^z]*z))a", "((a{0,5}){0,5}){0,5}b", "(?<=a{3})b|(.*)(.*)(.*)b"}) {
    const auto pattern = Pattern::regex(expression);
    if (!pattern) continue;
    const auto start = std::chrono::steady_clock::now();
    const auto found = pattern->matches(as);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    EXPECT_LT(took.count(), 30) << expression; // the sanitizers' build on a busy machine; some hundred ms otherwise
    if (found) EXPECT_THAT(*found, IsEmpty()) << expression;
    else EXPECT_EQ(found.error().code, ErrorCode::kBadRequest);
  }
}

TEST(Split, BehavesAsItsWordsSay) {
  struct Case {
    SplitBehavior behavior;
    bool inverted;
    std::vector<std::string> expected;
  };
  for (const Case& c :
       {Case{SplitBehavior::kIsolated, false, {"the", "-", "final", "-", "-", "countdown"}},
        Case{SplitBehavior::kRemoved, false, {"the", "final", "countdown"}}, Case{SplitBehavior::kRemoved, true, {"-", "-", "-"}},
        Case{SplitBehavior::kMergedWithPrevious, false, {"the-", "final-", "-", "countdown"}},
        Case{SplitBehavior::kMergedWithNext, false, {"the", "-final", "-", "-countdown"}},
        Case{SplitBehavior::kContiguous, false, {"the", "-", "final", "--", "countdown"}}}) {
    const std::string text = "the-final--countdown";
    const std::vector<SplitStep> steps{{Pattern::plain("-"), c.behavior, c.inverted}};
    EXPECT_EQ(texts_of(text, split_words(steps, text).value()), c.expected);
  }
}

TEST(Split, EachStepCutsTheWordsOfTheOneBefore) {
  const std::vector<SplitStep> steps{{*Pattern::regex(R"(\p{N}{1,3})"), SplitBehavior::kIsolated},
                                     {*Pattern::regex(R"([a-z]+)"), SplitBehavior::kIsolated}};
  const std::string text = "ab1234-cd";
  EXPECT_THAT(texts_of(text, split_words(steps, text).value()), ElementsAre("ab", "123", "4", "-", "cd"));
  EXPECT_THAT(split_words(steps, "").value(), IsEmpty());
  EXPECT_THAT(texts_of(text, split_words({}, text).value()), ElementsAre(text));
}

TEST(TextSteps, LeaveBrokenBytesAlone) {
  const std::vector<TextStep> nfc{UnicodeForm::kNfc};
  EXPECT_EQ(apply_steps(nfc,
                        "e\u0301\xff"
                        "e\u0301\xc3",
                        true)
                .value(),
            "\u00e9\xff\u00e9\xc3");
  EXPECT_EQ(apply_steps({StripStep{true, true}}, " \xff ", true).value(), "\xff");
  EXPECT_EQ(apply_steps({StripStep{true, true}}, " \n ", true).value(), "");
}

TEST(TextSteps, PrependsWhereItShould) {
  EXPECT_EQ(apply_steps({PrependStep{"_", false, false}}, "_a", false).value(), "__a");
  EXPECT_EQ(apply_steps({PrependStep{"_", false, true}}, "_a", false).value(), "_a");
  EXPECT_EQ(apply_steps({PrependStep{"_", true, false}}, "a", false).value(), "a");
  EXPECT_EQ(apply_steps({PrependStep{"_", true, false}}, "a", true).value(), "_a");
}

// Ordering n marks that stand in the wrong order takes n x n steps if it is done at once.
TEST(TextSteps, AnyNumberOfMarksEndsSoon) {
  std::string text = "a";
  for (int i = 0; i < 200'000; ++i) text += i % 2 == 0 ? "\u0301" : "\u0323";
  const auto start = std::chrono::steady_clock::now();
  const auto out = apply_steps({UnicodeForm::kNfd}, text, true);
  ASSERT_TRUE(out);
  EXPECT_EQ(out->size(), text.size());
  EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 30);
}

// Merges of a random alphabet, found by looking at all pairs again after each.
std::vector<Token> merged_slowly(std::vector<Token> symbols, const std::vector<std::array<Token, 3>>& merges) {
  for (;;) {
    std::size_t best_rank = merges.size(), best_at = 0;
    for (std::size_t at = 0; at + 1 < symbols.size(); ++at)
      for (std::size_t rank = 0; rank < best_rank; ++rank)
        if (merges[rank][0] == symbols[at] && merges[rank][1] == symbols[at + 1]) {
          best_rank = rank;
          best_at = at;
        }
    if (best_rank == merges.size()) return symbols;
    symbols[best_at] = merges[best_rank][2];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best_at) + 1);
  }
}

TEST(Bpe, MergesLikeTheDefinition) {
  std::mt19937 random(11);
  for (int round = 0; round < 60; ++round) {
    Vocabulary vocabulary(100);
    std::vector<std::string> pieces{"a", "b", "c"};
    for (std::size_t id = 0; id < 3; ++id) vocabulary.add(static_cast<Token>(id), pieces[id], PieceKind::kText);
    Bpe bpe({}, 60);
    std::vector<std::array<Token, 3>> merges;
    while (pieces.size() < 40) {
      const std::size_t left = random() % pieces.size(), right = random() % pieces.size();
      const std::string together = pieces[left] + pieces[right];
      if (together.size() > 12 || vocabulary.find(together)) continue;
      const auto id = static_cast<Token>(pieces.size());
      ASSERT_EQ(vocabulary.add(id, together, PieceKind::kText), Vocabulary::Outcome::kAdded);
      ASSERT_TRUE(bpe.add_merge(static_cast<Token>(left), static_cast<Token>(right), static_cast<std::uint32_t>(merges.size()), id));
      merges.push_back({static_cast<Token>(left), static_cast<Token>(right), id});
      pieces.push_back(together);
    }
    for (int word = 0; word < 30; ++word) {
      std::string text;
      std::vector<Token> symbols;
      for (std::size_t i = random() % 40; i > 0; --i) {
        symbols.push_back(static_cast<Token>(random() % 3));
        text += pieces[static_cast<std::size_t>(symbols.back())];
      }
      Bpe::Scratch scratch;
      std::vector<Token> out;
      ASSERT_TRUE(bpe.encode(vocabulary, text, scratch, out));
      EXPECT_EQ(out, merged_slowly(symbols, merges)) << text;
    }
  }
}

TEST(Bpe, LongWordsTakeNoSquareOfTime) {
  Vocabulary vocabulary(20);
  Bpe bpe({}, 20);
  std::string piece = "a";
  vocabulary.add(0, piece, PieceKind::kText);
  for (Token id = 1; id < 16; ++id) {
    piece += piece;
    vocabulary.add(id, piece, PieceKind::kText);
    ASSERT_TRUE(bpe.add_merge(id - 1, id - 1, static_cast<std::uint32_t>(id), id));
  }
  Bpe::Scratch scratch;
  std::vector<Token> out;
  const auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(bpe.encode(vocabulary, std::string(1'000'000, 'a'), scratch, out));
  EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 60); // with sanitizers; 0.2 s without
  EXPECT_EQ(out.size(), 33U); // 30 x 2^15, and 16,960 = 2^14 + 2^9 + 2^6
}

TEST(KeyTable, RefusesKeysThatWereMadeToCollide) {
  KeyTable<int> table(100'000);
  int kept = 0;
  // Nothing makes a table look at more than kMaxProbes places: the same key, never the same entry.
  while (kept < 100'000 && table.assign(42, kept, [](int) { return false; })) ++kept;
  EXPECT_EQ(kept, static_cast<int>(KeyTable<int>::kMaxProbes));
  EXPECT_EQ(table.find(43), nullptr);
}

TEST(KeyTable, HoldsHonestKeys) {
  KeyTable<std::uint32_t> table(300'000);
  for (std::uint32_t i = 0; i < 300'000; ++i) ASSERT_TRUE(table.assign(std::uint64_t{i} << 32U | (i * 7), i));
  for (std::uint32_t i = 0; i < 300'000; ++i) ASSERT_EQ(*table.find(std::uint64_t{i} << 32U | (i * 7)), i);
  ASSERT_TRUE(table.assign(0, 5));
  EXPECT_EQ(*table.find(0), 5U);
}

TEST(Vocabulary, KeepsHolesAndBytesApart) {
  Vocabulary vocabulary(4);
  EXPECT_EQ(vocabulary.add(5, "ab", PieceKind::kText), Vocabulary::Outcome::kAdded);
  EXPECT_EQ(vocabulary.add(5, "c", PieceKind::kText), Vocabulary::Outcome::kIdTaken);
  EXPECT_EQ(vocabulary.add(2, "ab", PieceKind::kText), Vocabulary::Outcome::kTextTaken);
  EXPECT_EQ(vocabulary.add(3, "\n", PieceKind::kByte), Vocabulary::Outcome::kAdded);
  EXPECT_EQ(vocabulary.find("ab"), 5);
  EXPECT_EQ(vocabulary.text(2), "ab");
  EXPECT_EQ(vocabulary.find("\n"), std::nullopt);
  EXPECT_EQ(vocabulary.byte_token('\n'), 3);
  EXPECT_EQ(vocabulary.byte_token('x'), std::nullopt);
  EXPECT_EQ(vocabulary.kind(4), PieceKind::kNone);
  EXPECT_EQ(vocabulary.kind(-1), PieceKind::kNone);
  EXPECT_EQ(vocabulary.kind(100), PieceKind::kNone);
  EXPECT_EQ(vocabulary.text(100), "");
  EXPECT_EQ(vocabulary.end(), 6U);
}

TEST(AddedTokens, TheLongestCountsAndNothingOverlaps) {
  const auto added = AddedTokens::make({{"<a>", 1}, {"<a><b>", 2}, {"a><", 3}, {"<a>", 4}});
  ASSERT_TRUE(added);
  const std::string text = "x<a><b><a><<a>";
  std::vector<Token> found;
  for (const AddedTokenPart& part : added->find(text)) found.push_back(part.token == nullptr ? -1 : part.token->id);
  EXPECT_THAT(found, ElementsAre(-1, 2, 4, -1, 4));
  EXPECT_THAT(AddedTokens().find("abc"), testing::SizeIs(1));
  EXPECT_THAT(AddedTokens().find(""), IsEmpty());
}

TEST(Utf8, KnowsWholeBrokenAndUnfinishedCharacters) {
  struct Case {
    std::string text;
    std::size_t length_bytes;
    bool valid;
    std::size_t tail_bytes;
  };
  for (const Case& c : {Case{"a", 1, true, 0}, Case{"\u00e9", 2, true, 0}, Case{"\u20ac", 3, true, 0}, Case{"\U0001f600", 4, true, 0},
                        Case{"\xc3", 1, false, 1}, Case{"\xe2\x82", 1, false, 2}, Case{"\xf0\x9f\x98", 1, false, 3},
                        Case{"\x80", 1, false, 0}, Case{"\xc0\x80", 1, false, 0}, Case{"\xe0\x80\x80", 1, false, 0},
                        Case{"\xed\xa0\x80", 1, false, 0}, Case{"\xf4\x90\x80\x80", 1, false, 0}, Case{"\xf5", 1, false, 0},
                        Case{"\xff", 1, false, 0}, Case{"\x80\x80\x80\x80", 1, false, 0}}) {
    const CodePoint point = code_point_at(c.text, 0);
    EXPECT_EQ(point.valid, c.valid) << testing::PrintToString(c.text);
    EXPECT_EQ(point.length_bytes, c.length_bytes);
    EXPECT_EQ(point.valid, simdjson::validate_utf8(c.text.data(), c.text.size()));
    EXPECT_EQ(incomplete_tail_bytes("x" + c.text), c.tail_bytes) << testing::PrintToString(c.text);
  }
  EXPECT_EQ(code_point_at("\U0001f600", 0).value, U'\U0001f600');
  EXPECT_EQ(incomplete_tail_bytes(""), 0U);
}

TEST(ByteAlphabet, IsThatOfGpt2) {
  EXPECT_EQ(bytes_of_alphabet("\u0120the"), " the");
  EXPECT_EQ(bytes_of_alphabet("\u010a\u0109\u00c3\u00a9\u0143"), "\n\t\xc3\xa9\xad");
  EXPECT_EQ(bytes_of_alphabet(" "), std::nullopt);
  EXPECT_EQ(bytes_of_alphabet("\u4e2d"), std::nullopt);
  EXPECT_EQ(bytes_of_alphabet("\xff"), std::nullopt);
  EXPECT_EQ(bytes_of_alphabet("\u0144"), std::nullopt);
}

TEST(BytePiece, IsWrittenInOneWay) {
  EXPECT_EQ(byte_of_piece("<0x0A>"), '\n');
  EXPECT_EQ(byte_of_piece("<0xFF>"), '\xff');
  for (const char* const piece : {"<0x0a>", "<0xA>", "0x0A", "<0x0G>", "<0x0A", "", "<0X0A>"})
    EXPECT_EQ(byte_of_piece(piece), std::nullopt) << piece;
}

TEST(GgufPreTokenizers, AreExpressionsThatPcreKnows) {
  for (const char* const name : {"gpt-2", "llama-bpe", "dbrx", "qwen2", "qwen35", "tekken", "gpt-4o", "starcoder", "deepseek-v3",
                                 "deepseek-coder", "falcon", "default"}) {
    const GgufPreTokenizer* const known = find_gguf_pre_tokenizer(name);
    ASSERT_NE(known, nullptr) << name;
    for (const std::string_view expression : known->patterns) EXPECT_TRUE(Pattern::regex(std::string(expression))) << expression;
  }
  EXPECT_EQ(find_gguf_pre_tokenizer("none"), nullptr);
}

} // namespace
} // namespace plimsoll
