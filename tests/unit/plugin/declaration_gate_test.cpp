// The gate alone, in front of structs made here: texts, arrays, doubles. What planners that are loaded may not declare stands in the
// tests of the planner tree.
#include "plugin/declaration_gate.hpp"

#include <gmock/gmock.h>

namespace plimsoll::testing {
namespace {

using ::testing::HasSubstr;

constexpr plimsoll_str str_of(std::string_view view) { return {view.data(), view.size()}; }

class DeclarationGates : public ::testing::Test {
protected:
  DeclarationGates() {
    family_.id = "acme";
    family_.aspects = PLIMSOLL_ASPECT_ATTENTION | PLIMSOLL_ASPECT_FFN;
    node_.family.family = &family_;
    weight_.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_weight, rank);
    weight_.aspect = PLIMSOLL_ASPECT_FFN;
    weight_.label = str_of("up");
    weight_.pattern = str_of("{layer}.up.weight");
    weight_.layers = layers_.data();
    weight_.n_layers = layers_.size();
    group_.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_kv_group, expanded_v_elements);
    group_.kind = PLIMSOLL_KV_FULL;
    group_.aspect = PLIMSOLL_ASPECT_ATTENTION;
    group_.label = str_of("cache");
    group_.layers = layers_.data();
    group_.n_layers = layers_.size();
  }
  template <class What>
  std::string said(const What& what) {
    const auto checked = DeclarationGate().check(node_, what);
    return checked ? "" : checked.error().message;
  }

  FamilyManifest family_;
  PlannerNode node_;
  std::vector<std::uint32_t> layers_{0, 1};
  plimsoll_weight weight_{};
  plimsoll_kv_group group_{};
};

TEST_F(DeclarationGates, LetWhatIsRightPass) {
  EXPECT_EQ(said(weight_), "");
  EXPECT_EQ(said(group_), "");
}

// a pointer and a length, printable UTF-8 within the limits. Nothing is read of a text that is none.
TEST_F(DeclarationGates, TakeTextsThatAreTexts) {
  const std::string longest(PLIMSOLL_MAX_LABEL_BYTES, 'x');
  for (const std::string& label : {std::string("up"), std::string("\xc3\xa4\xe2\x82\xac"), longest}) {
    weight_.label = str_of(label);
    EXPECT_EQ(said(weight_), "") << label;
  }
  struct Row {
    plimsoll_str label;
    const char* says;
  };
  for (const Row& row : {Row{{nullptr, 3}, "its label is 3 bytes at no address"},
                         {{nullptr, 0}, "its label is empty"},
                         {{"x", UINT64_MAX}, "its label is 18446744073709551615 bytes long"},
                         {str_of("a\nb"), "its label is "},
                         {str_of("a\x7f"), "its label is "},
                         {str_of("\xc3"), "its label is "},
                         {str_of(std::string_view("a\0b", 3)), "its label is "}}) {
    weight_.label = row.label;
    group_.label = row.label;
    EXPECT_THAT(said(weight_), HasSubstr(std::string("planner 'acme' declared a weight class: ") + row.says));
    EXPECT_THAT(said(group_), HasSubstr(std::string("planner 'acme' declared a KV group: ") + row.says));
  }
  const std::string longer = longest + "x";
  weight_.label = str_of(longer);
  EXPECT_THAT(said(weight_), HasSubstr("1 to 128 bytes of printable UTF-8 were expected"));
  weight_.label = str_of("up");
  weight_.dtype = str_of("a\tb");
  EXPECT_THAT(said(weight_), HasSubstr("weight class 'up': its type is "));
  group_.label = str_of("cache");
  group_.k_dtype = str_of(longest); // names are shorter
  EXPECT_THAT(said(group_), HasSubstr("KV group 'cache': the type of its keys is "));
}

// every struct is there and has what version 1.0 has, in arrays too.
TEST_F(DeclarationGates, TakeStructsOfVersionOneAndLarger) {
  weight_.struct_size += 64; // of a header to come
  EXPECT_EQ(said(weight_), "");
  weight_.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_weight, memory);
  EXPECT_THAT(said(weight_), HasSubstr("a weight class: its struct is smaller than version 1.0"));
  weight_.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_weight, rank);
  plimsoll_part part{PLIMSOLL_SIZE_THROUGH(plimsoll_part, units), 0, 4, 0};
  const plimsoll_part* parts[] = {&part, &part};
  weight_.parts = parts;
  weight_.n_parts = 2;
  EXPECT_EQ(said(weight_), "");
  part.struct_size -= 8;
  EXPECT_THAT(said(weight_), HasSubstr("part 0 is not there, or smaller than version 1.0"));
  part.struct_size += 8;
  parts[1] = nullptr;
  EXPECT_THAT(said(weight_), HasSubstr("part 1 is not there, or smaller than version 1.0"));
}

// a list that is not there has no entries.
TEST_F(DeclarationGates, TakeNoEntriesOfAListThatIsNotThere) {
  weight_.layers = nullptr;
  EXPECT_THAT(said(weight_), HasSubstr("2 layers, but no list of them"));
  weight_.n_layers = 0;
  EXPECT_EQ(said(weight_), "");
  weight_.n_parts = 1;
  EXPECT_THAT(said(weight_), HasSubstr("1 parts, but no list of them"));
  group_.layers = nullptr;
  EXPECT_THAT(said(group_), HasSubstr("2 layers, but no list of them"));
  group_.layers = layers_.data();
  group_.n_fields = 1;
  EXPECT_THAT(said(group_), HasSubstr("a record that is not there"));
}

// R-20, over all planners of a model: tensors by their whole names, layers under one planner's label.
TEST_F(DeclarationGates, TakeNothingTwice) {
  DeclarationGate gate;
  PlannerNode other = node_;
  EXPECT_TRUE(gate.take_tensors(node_, "up", "{layer}.up.weight", {0, 1}));
  EXPECT_TRUE(gate.take_tensors(node_, "up", "{layer}.up.weight", {2}));
  EXPECT_TRUE(gate.take_tensors(node_, "norm", "norm.weight", {}));
  EXPECT_TRUE(gate.take_tensors(node_, "unnamed", "", {0}));
  EXPECT_TRUE(gate.take_tensors(other, "unnamed", "", {0})); // told apart by who declares it
  struct Row {
    const char* pattern;
    std::vector<std::uint32_t> layers;
    const char* says;
  };
  for (const Row& row : {Row{"{layer}.up.weight", {1}, "the tensor '{layer}.up.weight' of layer 1 is declared twice"},
                         {"{layer}.up.weight", {2, 3}, "of layer 2 is declared twice"},
                         {"norm.weight", {}, "the tensor 'norm.weight' is declared twice"},
                         {"same.weight", {0, 1}, "2 layers with tensors of one name, 'same.weight'"},
                         {"", {0}, "what has only this label of layer 0 is declared twice"}}) {
    const auto taken = gate.take_tensors(other, "unnamed", row.pattern, row.layers);
    ASSERT_FALSE(taken) << row.pattern;
    EXPECT_THAT(taken.error().message, HasSubstr(row.says));
  }
  EXPECT_TRUE(gate.take_layers(node_, "cache", {0, 1}));
  EXPECT_TRUE(gate.take_layers(node_, "cache", {2}));
  EXPECT_TRUE(gate.take_layers(node_, "window", {1}));
  EXPECT_TRUE(gate.take_layers(other, "cache", {1}));
  const auto twice = gate.take_layers(node_, "cache", {1});
  ASSERT_FALSE(twice);
  EXPECT_THAT(twice.error().message, HasSubstr("KV group 'cache': layer 1 is declared twice"));
}

} // namespace
} // namespace plimsoll::testing
