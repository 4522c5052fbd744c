// ABI: the tables, and structs of other sizes than the plugin expects.
#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <simdjson.h>
#include <sstream>

#include "check/cases.hpp"
#include "model/declare.hpp"
#include "plan/ledger.hpp"
#include "plugin/abi_text.hpp"
#include "plugin/calls.hpp"

namespace plimsoll::check {
namespace {

std::string said(const Error& error) { return fmt::format("{} ({})", error.message, error.where); }

// The answers of a planner that is made anew.
Result<std::vector<std::string>> answers_of(Subject& subject, const Json& config) {
  PLIMSOLL_ASSIGN(const auto tree, subject.tree(config));
  return subject.answers(*tree);
}

// The plain answers against those under `bend`.
Finding same_under(CaseContext& context, const std::function<void(Bend&)>& set, std::string_view what) {
  return for_each_input(context, [&](Subject& subject, const Input& input) {
    const auto expected = answers_of(subject, input.config);
    if (!expected) return skipped(said(expected.error()));
    set(subject.shim().bend);
    const auto found = answers_of(subject, input.config);
    subject.shim().bend = {};
    if (!found) return failed(fmt::format("with {} it answers: {}", what, said(found.error())));
    const std::string difference = first_difference(*expected, *found);
    return difference.empty() ? passed() : failed(fmt::format("with {} {}", what, difference));
  });
}

Finding sizes_are_right(CaseContext& context) {
  return for_each_input(context, [](Subject& subject, const Input& input) {
    const auto wrong = [](const char* name, std::uint32_t size, std::uint32_t whole) {
      return failed(fmt::format("a {} has struct_size {}; version 1.0 has {}: PLIMSOLL_SIZE_THROUGH(type, last field)", name, size, whole));
    };
    const plimsoll_plugin& plugin = subject.descriptor();
    if (plugin.abi_minor != PLIMSOLL_ABI_MINOR) return skipped("it was built for another minor");
    if (const std::uint32_t whole = PLIMSOLL_SIZE_THROUGH(plimsoll_plugin, fini); plugin.struct_size != whole)
      return wrong("plimsoll_plugin", plugin.struct_size, whole);
    for (std::uint64_t i = 0; i < plugin.n_families; ++i) {
      const plimsoll_family& family = *plugin.families[i];
      if (const std::uint32_t whole = PLIMSOLL_SIZE_THROUGH(plimsoll_family, api); family.struct_size != whole)
        return wrong("plimsoll_family", family.struct_size, whole);
      if (const std::uint32_t whole = PLIMSOLL_SIZE_THROUGH(plimsoll_planner_api, query); family.api->struct_size > whole)
        return wrong("plimsoll_planner_api", family.api->struct_size, whole);
    }
    const auto tree = subject.tree(input.config);
    if (!tree) return skipped(said(tree.error()));
    const Asked asked(subject.facts(**tree), {}, subject.engine_values());
    for (const Emitted& emitted :
         {subject.weights(**tree), subject.kv(**tree), subject.entries(**tree), subject.activations(**tree, asked.raw)})
      if (!emitted.size_fault.empty()) return failed(emitted.size_fault);
    return passed();
  });
}

// Descriptor, families and tables, byte for byte.
std::string bytes_of(const plimsoll_plugin& plugin) {
  std::string out(reinterpret_cast<const char*>(&plugin), plugin.struct_size);
  for (std::uint64_t i = 0; i < plugin.n_families; ++i) {
    const plimsoll_family& family = *plugin.families[i];
    out.append(reinterpret_cast<const char*>(&family), family.struct_size);
    out.append(reinterpret_cast<const char*>(family.api), family.api->struct_size);
  }
  return out;
}
bool is_writable(const void* address) {
  std::ifstream maps("/proc/self/maps");
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  for (std::string line; std::getline(maps, line);) {
    std::istringstream in(line);
    std::uintptr_t begin = 0, end = 0;
    char dash = 0;
    std::string rights;
    in >> std::hex >> begin >> dash >> end >> rights;
    if (wanted >= begin && wanted < end) return rights.size() > 1 && rights[1] == 'w';
  }
  return false;
}

Finding table_stays(CaseContext& context) {
  return for_each_input(context, [](Subject& subject, const Input& input) {
    const std::string before = bytes_of(subject.descriptor());
    for (int i = 0; i < 8; ++i)
      if (const auto answers = answers_of(subject, input.config); !answers) return skipped(said(answers.error()));
    if (bytes_of(subject.descriptor()) != before) return failed("the descriptor, a family or a table changed while planners were asked");
    if (is_writable(&subject.descriptor()))
      return warned("the descriptor lies in memory that can be written; make it const, and link with -z relro");
    return passed();
  });
}

Finding ends_with_own_host(CaseContext& context) {
  return for_each_input(context, [](Subject& subject, const Input& input) {
    const auto expected = answers_of(subject, input.config);
    if (!expected) return skipped(said(expected.error()));
    subject.shim().bend.guard_tables = true; // of the request too: what it reads there shows in ABI-08
    const auto tree = subject.tree(input.config);
    subject.shim().bend = {};
    return tree ? passed() : failed(fmt::format("with a host table of version 1.0 it answers: {}", said(tree.error())));
  });
}
Finding reads_request_alone(CaseContext& context) {
  return for_each_input(context, [](Subject& subject, const Input& input) {
    const auto tree = subject.tree(input.config);
    if (!tree) return skipped(said(tree.error()));
    const std::vector<std::string> expected = subject.answers(**tree);
    subject.shim().bend.guard_tables = true;
    const std::vector<std::string> found = subject.answers(**tree);
    subject.shim().bend = {};
    const std::string difference = first_difference(expected, found);
    return difference.empty() ? passed() : failed("with a request that ends where memory ends " + difference);
  });
}

Finding facts_have_room(CaseContext& context) {
  return for_each_input(context, [](Subject& subject, const Input& input) {
    const auto tree = subject.tree(input.config);
    if (!tree) return skipped(said(tree.error()));
    subject.facts(**tree);
    return subject.shim().facts_fault().empty() ? passed() : failed(subject.shim().facts_fault());
  });
}

Finding unknown_interfaces(CaseContext& context) {
  return for_each_input(context, [](Subject& subject, const Input& input) {
    const auto tree = subject.tree(input.config);
    if (!tree) return skipped(said(tree.error()));
    const PlannerNode& root = (*tree)->root();
    if (root.api->query == nullptr) return passed();
    for (const std::string_view id : {"com.example.nobody-has-this/1", "plimsoll.pipeline/999", "plimsoll.pipeline/1 ",
                                      "plimsoll.pipeline/1x", "plimsoll.pipeline/draft.1", "plimsoll.pipeline", "/", "", "\n"}) {
      const void* object = nullptr;
      if (root.api->query(root.self, {id.data(), id.size()}, &object) != nullptr)
        return failed(fmt::format("query(\"{}\") answers a table", id));
    }
    return passed();
  });
}

Finding errors_without_room(CaseContext& context) {
  return for_each_input(context, [](Subject& subject, const Input& input) {
    for (const auto kind : {Bend::Error::kNull, Bend::Error::kSmall}) {
      subject.shim().bend = {};
      if (const auto tree = subject.tree(input.config); tree) {
        subject.shim().bend.error = kind;
        const Asked asked(subject.facts(**tree), {}, subject.engine_values());
        Recorder refusing;
        refusing.refuse_from = 0;
        plimsoll_error err = blank_error();
        call_weights((*tree)->root(), PLIMSOLL_ASPECT_ALL, refusing.sink(), &err);
        call_kv((*tree)->root(), PLIMSOLL_ASPECT_ALL, refusing.sink(), &err);
        call_activations((*tree)->root(), asked.raw, refusing.sink(), &err);
      }
      subject.shim().bend.error = kind;
      for (const std::string& pointer : own_keys(subject, input.config)) (void)subject.tree(without_key(input.config, pointer));
    }
    subject.shim().bend = {};
    return passed();
  });
}

Finding lookups_fail(CaseContext& context) {
  return for_each_input(context, [&](Subject& subject, const Input& input) {
    Shim& shim = subject.shim();
    if (const auto tree = subject.tree(input.config); !tree) return skipped(said(tree.error()));
    const std::uint64_t n = std::min<std::uint64_t>(shim.n_lookups(), 2000);
    for (std::uint64_t number = 0; number < n; ++number)
      for (const plimsoll_status status :
           std::initializer_list<plimsoll_status>{PLIMSOLL_E_NOT_FOUND, PLIMSOLL_E_TYPE, PLIMSOLL_E_MEMORY, 99}) {
        context.at(fmt::format("{}, where lookup {} answers {}", input.name, number, status));
        shim.forget();
        shim.bend.fail_lookup = number;
        shim.bend.lookup_status = status;
        if (const auto tree = subject.tree(input.config)) subject.answers(**tree);
        shim.bend = {};
      }
    return passed();
  });
}

bool is_known(plimsoll_status status) { return status >= PLIMSOLL_OK && status <= PLIMSOLL_E_REQUEST; }

Finding sink_refuses(CaseContext& context) {
  return for_each_input(context, [](Subject& subject, const Input& input) {
    const auto tree = subject.tree(input.config);
    if (!tree) return skipped(said(tree.error()));
    const Asked asked(subject.facts(**tree), {}, subject.engine_values());
    const PlannerNode& root = (*tree)->root();
    for (const std::uint64_t from : {0U, 1U, 5U}) {
      const auto refuse = [&](const char* what, const auto& call) {
        Recorder recorder;
        recorder.refuse_from = from;
        plimsoll_error err = blank_error();
        const plimsoll_status status = call(recorder.sink(), &err);
        return is_known(status) ? std::string() : fmt::format("{} answers {} where the host refuses number {}", what, status, from);
      };
      std::string wrong = refuse("weights()", [&](auto* out, auto* err) { return call_weights(root, PLIMSOLL_ASPECT_ALL, out, err); });
      if (wrong.empty()) wrong = refuse("kv()", [&](auto* out, auto* err) { return call_kv(root, PLIMSOLL_ASPECT_ALL, out, err); });
      if (wrong.empty())
        wrong = refuse("entries()", [&](auto* out, auto* err) { return call_entries(root, PLIMSOLL_ASPECT_ALL, out, err); });
      if (wrong.empty()) wrong = refuse("activations()", [&](auto* out, auto* err) { return call_activations(root, asked.raw, out, err); });
      if (!wrong.empty()) return failed(wrong);
    }
    return passed();
  });
}

Finding texts_have_no_end(CaseContext& context) {
  return same_under(
      context, [](Bend& bend) { bend.guard_texts = true; }, "texts that end where memory ends");
}
Finding tables_are_longer(CaseContext& context) {
  return same_under(
      context, [](Bend& bend) { bend.longer_tables = true; }, "a host table, a request and an error of a newer host");
}
Finding aspects_are_more(CaseContext& context) {
  return same_under(
      context, [](Bend& bend) { bend.more_aspects = 1U << 30U; }, "an aspect that nobody knows");
}

Finding declarations_pass(CaseContext& context) {
  return for_each_input(context, [](Subject& subject, const Input& input) {
    const auto model = subject.model(input.config);
    if (model) return passed();
    return is_plugin_fault(model.error()) || input.own ? failed(said(model.error())) : skipped(said(model.error()));
  });
}

Finding items_pass(CaseContext& context) {
  return for_each_input(context, [](Subject& subject, const Input& input) {
    const auto tree = subject.tree(input.config);
    if (!tree) return skipped(said(tree.error()));
    for (const Layout layout : {Layout{}, Layout{2, 1, 1, 1}, Layout{2, 2, 2, 2}}) {
      const Asked asked(subject.facts(**tree), layout, subject.engine_values());
      ItemCollector items(layout.ranks(), asked.raw.max_batch_size);
      Ledger ledger(layout.ranks());
      Result<void> result = (*tree)->activations(asked.raw, items);
      if (result && (*tree)->root().has_signal_buffers) result = (*tree)->signal_buffers(asked.raw, items);
      if (result) result = items.settle(ledger);
      if (!result && is_plugin_fault(result.error())) return failed(said(result.error()));
    }
    return passed();
  });
}

} // namespace

const std::vector<Case>& abi_cases() {
  static const std::vector<Case> cases{{"ABI-01", sizes_are_right},    {"ABI-05", table_stays},         {"ABI-06", ends_with_own_host},
                                       {"ABI-07", tables_are_longer},  {"ABI-08", reads_request_alone}, {"ABI-09", facts_have_room},
                                       {"ABI-10", unknown_interfaces}, {"ABI-11", aspects_are_more},    {"ABI-12", errors_without_room},
                                       {"ABI-13", lookups_fail},       {"ABI-14", sink_refuses},        {"ABI-15", texts_have_no_end},
                                       {"ABI-16", declarations_pass},  {"ABI-17", items_pass}};
  return cases;
}

} // namespace plimsoll::check
