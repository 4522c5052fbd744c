// What the operands of the ops of images must be: each op, right, and then with one thing wrong at a time.
#include <functional>
#include <gmock/gmock.h>

#include "model/op_rules.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::HasSubstr;

// An encoder of patches of 4 x 4 pixels in 3 channels and 2 frames, of which 2 x 2 are merged; and a text that has its rows.
struct EncoderOps {
  EncoderOps() {
    encoder.of_images = true;
    encoder.values = {{false, 96, 0}, {false, 16, 0}, {true, 64, 0}, {true, 60, 0}};
    encoder.ropes.push_back({{{1, 0.5, 1, 0.5}, 1}, {}, UINT64_MAX});
    patches.kind = OpKind::kPatches;
    patches.out = 0;
    patches.i = {3, 2, 4, 2};
    merge.kind = OpKind::kMergeRows;
    merge.in[0] = 1;
    merge.out = 2;
    merge.i = {4};
    turn.kind = OpKind::kRopeSections;
    turn.in[0] = turn.out = 1;
    turn.i = {2, 8, 0, 8, 0, 0, 0, 2};
    text.values = {{false, 64, 0}, {true, 64, 0}, {false, 32, 0}};
    rows.kind = OpKind::kImageRows;
    rows.in[0] = rows.out = 0;
    rows.i = {300};
    declared.facts.vocab_tokens = 320;
    declared.entries.push_back({.label = "image", .planner = "", .modality = Modality::kImage, .type = {}, .rows = 24, .row_elements = 64});
  }
  std::string wrong_in_encoder(const DescribedOp& op) const { return wrong_op(op, encoder, declared); }
  std::string wrong_in_text(const DescribedOp& op) const { return wrong_op(op, text, declared); }

  Described encoder, text;
  Declared declared;
  DescribedOp patches, merge, turn, rows;
};

TEST(ImageRules, TakeWhatIsRight) {
  EncoderOps of;
  EXPECT_EQ(of.wrong_in_encoder(of.patches), "");
  of.encoder.ops.push_back(of.patches);
  EXPECT_EQ(of.wrong_in_encoder(of.merge), "");
  EXPECT_EQ(of.wrong_in_encoder(of.turn), "");
  EXPECT_EQ(of.wrong_in_text(of.rows), "");
}

// Windows, and rows in order behind them; nothing of the kind where there are none.
TEST(ImageRules, KnowWindows) {
  EncoderOps of;
  DescribedOp sorted, apart;
  sorted.kind = OpKind::kRowsInOrder;
  sorted.in[0] = 2;
  sorted.out = 4;
  apart.kind = OpKind::kAttendWhole;
  apart.in = {1, 1, 1, kNoIndex, kNoIndex, kNoIndex};
  apart.out = 5;
  apart.i = {2, 2, 8, 8, 0, 1};
  apart.f = {1};
  of.encoder.values.push_back({true, 64, 0});
  of.encoder.values.push_back({false, 16, 0});
  for (const std::uint64_t window : {0U, 4U}) {
    of.patches.i[4] = window;
    of.encoder.ops = {of.patches};
    EXPECT_THAT(of.wrong_in_encoder(sorted), HasSubstr(window == 0 ? "have no windows" : ""));
    EXPECT_THAT(of.wrong_in_encoder(apart), HasSubstr(window == 0 ? "have none" : ""));
    EXPECT_EQ(of.wrong_in_encoder(sorted).empty(), window != 0);
    EXPECT_EQ(of.wrong_in_encoder(apart).empty(), window != 0);
  }
  sorted.out = 2;
  EXPECT_THAT(of.wrong_in_encoder(sorted), HasSubstr("and gives others"));
  sorted.in[0] = 1;
  EXPECT_THAT(of.wrong_in_encoder(sorted), HasSubstr("rows of different kinds"));
  EXPECT_THAT(of.wrong_in_text(sorted), HasSubstr("only an encoder of images has it"));
  apart.i[5] = 2;
  EXPECT_THAT(of.wrong_in_encoder(apart), HasSubstr("at most 1"));
}

TEST(ImageRules, RefuseTheRest) {
  struct Spoilt {
    std::function<void(EncoderOps&)> spoil;
    DescribedOp EncoderOps::*op;
    const char* says;
  };
  const Spoilt cases[] = {
      {[](EncoderOps& o) { o.encoder.ops.push_back(o.patches); }, &EncoderOps::patches, "begins with patches once"},
      {[](EncoderOps& o) { o.patches.i[2] = 5; }, &EncoderOps::patches, "the width of its result is 96, where 150"},
      {[](EncoderOps& o) { o.patches.i[3] = 1 << 20; }, &EncoderOps::patches, "at most 65535 is possible"},
      {[](EncoderOps& o) { o.patches.i[0] = 0; }, &EncoderOps::patches, "a size is 0"},
      {[](EncoderOps&) {}, &EncoderOps::merge, "patches come first"},
      {[](EncoderOps& o) {
         o.encoder.ops.push_back(o.patches);
         o.merge.i[0] = 3;
       },
       &EncoderOps::merge, "the number of rows that become one is 3, where 4"},
      {[](EncoderOps& o) {
         o.encoder.ops.push_back(o.patches);
         o.merge.out = 3;
       },
       &EncoderOps::merge, "the width of its result is 60, where 64"},
      {[](EncoderOps& o) {
         o.encoder.ops.push_back(o.patches);
         o.merge.out = 1;
       },
       &EncoderOps::merge, "gives merged ones"},
      {[](EncoderOps& o) {
         o.encoder.ops.push_back(o.patches);
         o.turn.i[6] = 3;
       },
       &EncoderOps::turn, "the pairs of two sections is 5; at most 4"},
      {[](EncoderOps& o) {
         o.encoder.ops.push_back(o.patches);
         o.turn.i[4] = 2;
       },
       &EncoderOps::turn, "the order of its sections is 2"},
      {[](EncoderOps& o) {
         o.encoder.ops.push_back(o.patches);
         o.turn.i[5] = 1;
       },
       &EncoderOps::turn, "its table of frequencies is not there"},
  };
  for (const Spoilt& c : cases) {
    EncoderOps of;
    c.spoil(of);
    EXPECT_THAT(of.wrong_in_encoder(of.*c.op), HasSubstr(c.says));
  }
}

TEST(ImageRules, KeepTextsAndEncodersApart) {
  EncoderOps of;
  of.text.ops.push_back(of.patches);
  EXPECT_THAT(of.wrong_in_text(of.patches), HasSubstr("only an encoder of images has it"));
  of.encoder.ops.push_back(of.patches);
  of.rows.in[0] = of.rows.out = 1;
  EXPECT_THAT(of.wrong_in_encoder(of.rows), HasSubstr("no encoder of images has it"));
  of.rows.in[0] = of.rows.out = 2;
  EXPECT_THAT(of.wrong_in_text(of.rows), HasSubstr("the elements of a row is 64, where 32"));
  of.rows.in[0] = of.rows.out = 0;
  of.rows.i[0] = 320;
  EXPECT_THAT(of.wrong_in_text(of.rows), HasSubstr("token 320 of 320"));
  of.declared.entries.clear();
  EXPECT_THAT(of.wrong_in_text(of.rows), HasSubstr("takes no images"));
}

// A convolution over patches is a linear layer of all that a patch has.
TEST(ImageRules, ReadConvolutionsAsLinearLayers) {
  WeightClass conv;
  conv.n_dims = 5;
  conv.dims = {32, 3, 2, 4, 4};
  conv.in_dim = 4;
  const auto widths = linear_widths(conv, PLIMSOLL_ALL_PARTS);
  ASSERT_TRUE(widths);
  EXPECT_EQ(widths->in, 96U);
  EXPECT_EQ(widths->out, 32U);
  EXPECT_FALSE(linear_widths(conv, 0));
  conv.in_dim = 1;
  EXPECT_FALSE(linear_widths(conv, PLIMSOLL_ALL_PARTS));
}

} // namespace
} // namespace plimsoll::testing
