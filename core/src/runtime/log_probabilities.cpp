#include "runtime/log_probabilities.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>

namespace plimsoll {
namespace {

float number(float logit) { return std::isnan(logit) ? -std::numeric_limits<float>::infinity() : logit; }

// What to subtract from a logit: the logarithm of the sum of all exponentials.
double log_sum(std::span<const float> row) {
  float most = -std::numeric_limits<float>::infinity();
  for (const float logit : row) most = std::max(most, number(logit));
  if (std::isinf(most)) return most;
  double sum = 0;
  for (const float logit : row) sum += std::exp(static_cast<double>(number(logit)) - static_cast<double>(most));
  return static_cast<double>(most) + std::log(sum);
}

// The most probable first; of equal ones the lowest id.
bool better(std::span<const float> row, Token a, Token b) {
  const float x = number(row[static_cast<std::size_t>(a)]), y = number(row[static_cast<std::size_t>(b)]);
  return x != y ? x > y : a < b;
}

// The best `n` ids, best first: a heap of so many, its worst on top.
std::vector<Token> best_tokens(std::span<const float> row, std::size_t n) {
  const auto is_better = [row](Token a, Token b) { return better(row, a, b); };
  std::vector<Token> best;
  best.reserve(n);
  for (std::size_t id = 0; id < row.size(); ++id) {
    const auto token = static_cast<Token>(id);
    if (best.size() == n) {
      if (!is_better(token, best.front())) continue;
      std::pop_heap(best.begin(), best.end(), is_better);
      best.pop_back();
    }
    best.push_back(token);
    std::push_heap(best.begin(), best.end(), is_better);
  }
  std::sort_heap(best.begin(), best.end(), is_better);
  return best;
}

} // namespace

void append_log_probabilities(std::span<const float> row, Token sampled, std::size_t top_n, LogProbabilities& out) {
  const double total = log_sum(row);
  const auto value_of = [&](Token token) {
    const double logit = static_cast<double>(number(row[static_cast<std::size_t>(token)]));
    return static_cast<float>(std::isinf(total) ? (logit == total ? 0.0 : -std::numeric_limits<double>::infinity()) : logit - total);
  };
  std::vector<std::pair<Token, float>> top;
  bool has_sampled = false;
  for (const Token token : best_tokens(row, top_n)) {
    top.emplace_back(token, value_of(token));
    has_sampled = has_sampled || token == sampled;
  }
  if (!has_sampled) top.emplace_back(sampled, value_of(sampled));
  out.sampled.push_back(sampled);
  out.token.push_back(value_of(sampled));
  out.top.push_back(std::move(top));
}

void append_rows(LogProbabilities& to, const LogProbabilities& from, std::size_t first) {
  const auto at = static_cast<std::ptrdiff_t>(std::min(first, from.token.size()));
  to.sampled.insert(to.sampled.end(), from.sampled.begin() + at, from.sampled.end());
  to.token.insert(to.token.end(), from.token.begin() + at, from.token.end());
  to.top.insert(to.top.end(), from.top.begin() + at, from.top.end());
}

// ---- The default of every model -------------------------------------------------------------------------------------------

namespace {

struct RowSource {
  const ModelOutputs& outputs;
  std::span<const std::int64_t> tokens;       // empty where nobody wants an echo
  std::span<const std::uint32_t> row_offsets; // likewise
  std::size_t vocab() const { return outputs.vocab(); }
};

Result<void> check_token(const RowSource& source, std::int64_t token) {
  if (token >= 0 && static_cast<std::uint64_t>(token) < source.vocab()) return {};
  return fail(ErrorCode::kBadRequest, fmt::format("token {} is none of the {} that the logits are of", token, source.vocab()));
}

Result<LogProbabilitiesAnswer> of_sampled_token(const RowSource& source, std::size_t request, Token sampled, std::size_t top_n) {
  PLIMSOLL_TRY(check_token(source, sampled));
  PLIMSOLL_ASSIGN(const std::span<const float> row, source.outputs.next_token_row(request));
  LogProbabilities values;
  append_log_probabilities(row, sampled, top_n, values);
  return LogProbabilitiesAnswer{LogProbabilitiesCode::kComputed, std::move(values)};
}

// A row for each input token: row j speaks of token j + 1, the last one of the sampled token.
Result<LogProbabilitiesAnswer> of_all_tokens(const RowSource& source, std::size_t request, Token sampled, std::size_t top_n) {
  const std::size_t begin = source.row_offsets[request], end = source.row_offsets[request + 1];
  PLIMSOLL_ASSIGN(const std::span<const float> rows, source.outputs.rows_of(request));
  if (begin >= end || rows.size() != (end - begin) * source.vocab())
    return LogProbabilitiesAnswer{LogProbabilitiesCode::kEchoNeedsAllLogits, std::nullopt};
  LogProbabilities values;
  for (std::size_t at = begin; at < end; ++at) {
    const std::int64_t next = at + 1 < end ? source.tokens[at + 1] : sampled;
    PLIMSOLL_TRY(check_token(source, next));
    append_log_probabilities(rows.subspan((at - begin) * source.vocab(), source.vocab()), static_cast<Token>(next), top_n, values);
  }
  return LogProbabilitiesAnswer{LogProbabilitiesCode::kComputed, std::move(values)};
}

// The inputs that an echo is read from, checked against each other.
Result<void> find_inputs(const ModelInputs& inputs, std::size_t batch, RowSource& source) {
  PLIMSOLL_ASSIGN(source.tokens, inputs.find("tokens").values<std::int64_t>());
  PLIMSOLL_ASSIGN(source.row_offsets, inputs.find("input_row_offsets").values<std::uint32_t>());
  const std::span<const std::uint32_t> offsets = source.row_offsets;
  if (offsets.size() == batch + 1 && std::is_sorted(offsets.begin(), offsets.end()) && offsets.back() <= source.tokens.size()) return {};
  return fail(ErrorCode::kBadRequest,
              fmt::format("the input 'input_row_offsets' does not part {} tokens among {} requests", source.tokens.size(), batch));
}

} // namespace

Result<std::vector<LogProbabilitiesAnswer>> PipelineModel::compute_log_probabilities(const ModelInputs& inputs, const ModelOutputs& outputs,
                                                                                     std::span<const Token> next_tokens,
                                                                                     std::span<const std::int32_t> batch_top_n,
                                                                                     std::span<const std::uint8_t> batch_echo) {
  const std::size_t batch = next_tokens.size();
  if (outputs.batch() != batch || batch_top_n.size() != batch || batch_echo.size() != batch)
    return fail(ErrorCode::kBadRequest, fmt::format("{} sampled tokens, {} numbers of best tokens and {} echoes for outputs of {} requests",
                                                    batch, batch_top_n.size(), batch_echo.size(), outputs.batch()));
  for (const std::int32_t top_n : batch_top_n)
    if (top_n < 0 || static_cast<std::uint64_t>(top_n) > outputs.vocab())
      return fail(ErrorCode::kBadRequest,
                  fmt::format("log-probabilities of the {} best tokens; a number from 0 to {} was expected", top_n, outputs.vocab()));
  const auto echoes = [&](std::size_t request) { return batch_echo[request] != 0 && batch_top_n[request] > 0; };
  RowSource source{outputs, {}, {}};
  bool any_echo = false;
  for (std::size_t request = 0; request < batch; ++request) any_echo = any_echo || echoes(request);
  if (any_echo) PLIMSOLL_TRY(find_inputs(inputs, batch, source));

  std::vector<LogProbabilitiesAnswer> answers(batch);
  for (std::size_t request = 0; request < batch; ++request) {
    if (batch_top_n[request] == 0) continue;
    const auto top_n = static_cast<std::size_t>(batch_top_n[request]);
    auto answer = echoes(request) ? of_all_tokens(source, request, next_tokens[request], top_n)
                                  : of_sampled_token(source, request, next_tokens[request], top_n);
    if (!answer) return tl::unexpected(std::move(answer.error()));
    answers[request] = std::move(*answer);
  }
  return answers;
}

} // namespace plimsoll
