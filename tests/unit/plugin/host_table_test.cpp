// What a plugin reads of a configuration: absent, null, other types, limits, class defaults and inherited keys.
#include <gmock/gmock.h>

#include <cmath>

#include "plugin/host_table.hpp"
#include "plugin/planner_tree.hpp"

namespace plimsoll::testing {
namespace {

plimsoll_str str(std::string_view text) { return {text.data(), text.size()}; }

class HostTable : public ::testing::Test {
protected:
  HostTable() {
    view_.node = &config_;
    view_.defaults = &defaults_;
    part_.node = &config_["part"];
    part_.parent = &view_;
    part_.pointer = "/part";
  }
  plimsoll_status u64(const char* pointer, std::uint64_t* out) const { return host_.get_u64(&view_, str(pointer), out); }

  const Json config_ = Json::parse(R"({"n": 7, "zero": 0, "whole": 1e3, "half": 0.5, "negative": -1, "none": null, "text": "abc",
    "yes": true, "list": [4, 5], "largest": 9223372036854775807, "too_large": 9223372036854775808, "huge": 1e300,
    "a/b": 1, "m~n": 2, "": 3, "empty": {}, "torch_dtype": "float16", "quantization_config": {"bits": 4},
    "part": {"n": 70, "own": 1, "part_null": null}})");
  const Json defaults_ = Json::parse(
      R"({"n": 1, "filled": 11, "none": 12, "nested": {"deep": {"er": 13}}, "list": [1, 2, 3], "part": {"width": 14, "own": 15, "sub": {"x": 16}}})");
  plimsoll_view view_, part_;
  const plimsoll_host host_ = make_host_table();
};

TEST_F(HostTable, AnswersNumbersWithinTheirLimits) {
  struct Case {
    const char* pointer;
    plimsoll_status status;
    std::uint64_t value;
  };
  for (const Case& c : {Case{"/n", PLIMSOLL_OK, 7},
                        {"/zero", PLIMSOLL_OK, 0},
                        {"/whole", PLIMSOLL_OK, 1000},
                        {"/largest", PLIMSOLL_OK, 9223372036854775807ULL},
                        {"/too_large", PLIMSOLL_E_TYPE, 99},
                        {"/huge", PLIMSOLL_E_TYPE, 99},
                        {"/half", PLIMSOLL_E_TYPE, 99},
                        {"/negative", PLIMSOLL_E_TYPE, 99},
                        {"/text", PLIMSOLL_E_TYPE, 99},
                        {"/yes", PLIMSOLL_E_TYPE, 99},
                        {"/list", PLIMSOLL_E_TYPE, 99},
                        {"", PLIMSOLL_E_TYPE, 99},
                        {"/absent", PLIMSOLL_E_NOT_FOUND, 99},
                        {"/n/below", PLIMSOLL_E_NOT_FOUND, 99},
                        {"/list/0", PLIMSOLL_OK, 4},
                        {"/list/1", PLIMSOLL_OK, 5},
                        {"/list/01", PLIMSOLL_E_NOT_FOUND, 99},
                        {"/list/-", PLIMSOLL_E_NOT_FOUND, 99},
                        {"/list/99999999999999999999", PLIMSOLL_E_NOT_FOUND, 99},
                        {"/a~1b", PLIMSOLL_OK, 1},
                        {"/m~0n", PLIMSOLL_OK, 2},
                        {"/", PLIMSOLL_OK, 3},
                        {"n", PLIMSOLL_E_NOT_FOUND, 99},
                        {"/part/n", PLIMSOLL_OK, 70}}) {
    std::uint64_t out = 99; // left alone where there is no answer
    EXPECT_EQ(u64(c.pointer, &out), c.status) << c.pointer;
    EXPECT_EQ(out, c.value) << c.pointer;
  }
}

TEST_F(HostTable, AnswersOtherTypes) {
  double number = 0;
  EXPECT_EQ(host_.get_f64(&view_, str("/half"), &number), PLIMSOLL_OK);
  EXPECT_EQ(number, 0.5);
  EXPECT_EQ(host_.get_f64(&view_, str("/n"), &number), PLIMSOLL_OK);
  EXPECT_EQ(number, 7);
  EXPECT_EQ(host_.get_f64(&view_, str("/text"), &number), PLIMSOLL_E_TYPE);
  std::uint32_t flag = 5;
  EXPECT_EQ(host_.get_bool(&view_, str("/yes"), &flag), PLIMSOLL_OK);
  EXPECT_EQ(flag, 1U);
  EXPECT_EQ(host_.get_bool(&view_, str("/n"), &flag), PLIMSOLL_E_TYPE); // 7 is no truth value
  plimsoll_str text{nullptr, 0};
  EXPECT_EQ(host_.get_str(&view_, str("/text"), &text), PLIMSOLL_OK);
  EXPECT_EQ(std::string_view(text.data, text.size), "abc");
  EXPECT_EQ(host_.get_str(&view_, str("/n"), &text), PLIMSOLL_E_TYPE);
  std::uint64_t n = 0;
  EXPECT_EQ(host_.get_len(&view_, str("/list"), &n), PLIMSOLL_OK);
  EXPECT_EQ(n, 2U);
  EXPECT_EQ(host_.get_len(&view_, str("/part"), &n), PLIMSOLL_OK);
  EXPECT_EQ(n, 3U);
  EXPECT_EQ(host_.get_len(&view_, str("/empty"), &n), PLIMSOLL_OK);
  EXPECT_EQ(n, 0U);
  EXPECT_EQ(host_.get_len(&view_, str("/text"), &n), PLIMSOLL_E_TYPE);
}

TEST_F(HostTable, NullIsAbsentAndHidesTheDefault) {
  std::uint64_t out = 99;
  EXPECT_EQ(u64("/none", &out), PLIMSOLL_E_NOT_FOUND); // the configuration says: none
  EXPECT_EQ(out, 99U);
}

TEST_F(HostTable, ClassDefaultsFillInWhatIsAbsent) {
  std::uint64_t out = 0;
  EXPECT_EQ(u64("/filled", &out), PLIMSOLL_OK);
  EXPECT_EQ(out, 11U);
  EXPECT_EQ(u64("/nested/deep/er", &out), PLIMSOLL_OK);
  EXPECT_EQ(out, 13U);
  EXPECT_EQ(u64("/list/2", &out), PLIMSOLL_E_NOT_FOUND); // a list that is stated is whole
  EXPECT_EQ(u64("/part/width", &out), PLIMSOLL_OK);      // beside what the part states
  EXPECT_EQ(out, 14U);
  EXPECT_EQ(u64("/part/own", &out), PLIMSOLL_OK);
  EXPECT_EQ(out, 1U);
}

TEST_F(HostTable, APartHasItsOwnKeysThenItsOutersDefaults) {
  std::uint64_t out = 0;
  EXPECT_EQ(host_.get_u64(&part_, str("/n"), &out), PLIMSOLL_OK);
  EXPECT_EQ(out, 70U);
  EXPECT_EQ(host_.get_u64(&part_, str("/width"), &out), PLIMSOLL_OK); // the outer class's word for this part
  EXPECT_EQ(out, 14U);
  EXPECT_EQ(host_.get_u64(&part_, str("/sub/x"), &out), PLIMSOLL_OK);
  EXPECT_EQ(out, 16U);
  EXPECT_EQ(host_.get_u64(&part_, str("/whole"), &out), PLIMSOLL_E_NOT_FOUND); // the outer config's key is not this part's
  EXPECT_EQ(host_.get_u64(&part_, str("/filled"), &out), PLIMSOLL_E_NOT_FOUND);
}

TEST_F(HostTable, SomeKeysAreMeantForEveryPart) {
  plimsoll_str text{nullptr, 0};
  EXPECT_EQ(host_.get_str(&part_, str("/torch_dtype"), &text), PLIMSOLL_OK);
  EXPECT_EQ(std::string_view(text.data, text.size), "float16");
  std::uint64_t bits = 0;
  EXPECT_EQ(host_.get_u64(&part_, str("/quantization_config/bits"), &bits), PLIMSOLL_OK);
  EXPECT_EQ(bits, 4U);
  EXPECT_EQ(host_.get_u64(&part_, str("/quantization_config_of_another/bits"), &bits), PLIMSOLL_E_NOT_FOUND);
}

TEST_F(HostTable, APointerOfAnEnemyIsAbsent) {
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "/part";
  std::uint64_t out = 0;
  EXPECT_EQ(host_.get_u64(&view_, str(deep), &out), PLIMSOLL_E_NOT_FOUND);
  for (const char* odd : {"~", "/~", "/~2", "/m~", "//", "/list/", "/list/+1", "/list/ 1"})
    EXPECT_EQ(host_.get_u64(&view_, str(odd), &out), PLIMSOLL_E_NOT_FOUND) << odd;
}

TEST_F(HostTable, APlainDocumentDelegatesNothing) {
  const plimsoll_view* sub = nullptr;
  EXPECT_EQ(host_.subview(&view_, str("/part"), nullptr, 0, &sub), PLIMSOLL_E_ABI);
  EXPECT_EQ(sub, nullptr);
  const plimsoll_planner_api* api = nullptr;
  const plimsoll_planner* child = nullptr;
  EXPECT_EQ(host_.planner_for(&view_, str("dense"), {nullptr, 0}, &api, &child, nullptr), PLIMSOLL_E_ABI);
  const auto* tensors = static_cast<const plimsoll_tensors*>(host_.query(&host_, str(PLIMSOLL_TENSORS_ID)));
  ASSERT_NE(tensors, nullptr);
  EXPECT_EQ(tensors->count(&view_), 0U);
  plimsoll_tensor tensor{};
  tensor.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_tensor, stored_bytes);
  EXPECT_EQ(tensors->find(&view_, str("x"), &tensor), PLIMSOLL_E_ABI);
}

// R-27.
TEST_F(HostTable, UnknownInterfacesAreNone) {
  for (const char* id : {"anything", "plimsoll.tensors/2", "plimsoll.tensors/draft.1", "plimsoll.tensors", "PLIMSOLL.TENSORS/1", ""})
    EXPECT_EQ(host_.query(&host_, str(id)), nullptr) << id;
  EXPECT_EQ(host_.query(&host_, {nullptr, 7}), nullptr);
}

TEST_F(HostTable, SubJsonIsCutToTheBuffer) {
  char buffer[8] = "#######";
  std::uint64_t size = 0;
  EXPECT_EQ(host_.get_json(&view_, str("/part"), nullptr, 0, &size), PLIMSOLL_OK);
  const std::string whole = view_.find("/part")->dump();
  EXPECT_EQ(size, whole.size());
  EXPECT_EQ(host_.get_json(&view_, str("/part"), buffer, 4, &size), PLIMSOLL_OK);
  EXPECT_EQ(std::string(buffer), whole.substr(0, 4) + "###");
  EXPECT_EQ(host_.get_json(&view_, str("/nobody"), buffer, 4, &size), PLIMSOLL_E_NOT_FOUND);
  plimsoll_str key{nullptr, 0};
  EXPECT_EQ(host_.get_key(&view_, str("/list"), 0, &key), PLIMSOLL_E_TYPE);
  EXPECT_EQ(host_.get_key(&view_, str("/part"), UINT64_MAX, &key), PLIMSOLL_E_NOT_FOUND);
}

TEST_F(HostTable, RenamesChainFromTheInnermostOutward) {
  plimsoll_view outer = view_, inner = part_;
  inner.parent = &outer;
  outer.renames = {{"model.text.", "backbone."}, {"", "all."}};
  inner.renames = {{"model.", "model.text."}, {"lm_head.", "lm_head."}};
  EXPECT_EQ(inner.rename("model.layers.0.q"), "backbone.layers.0.q");
  EXPECT_EQ(inner.rename("lm_head.weight"), "all.lm_head.weight"); // the first that fits, at each step
  EXPECT_EQ(inner.rename("other"), "all.other");
  EXPECT_EQ(inner.full_pointer(), "/part");
}

} // namespace
} // namespace plimsoll::testing
