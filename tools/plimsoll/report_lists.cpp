// Weights, plugins, devices and models as tables: see report.hpp.
#include <algorithm>
#include <fmt/format.h>
#include <map>

#include "plimsoll/human.hpp"
#include "report.hpp"
#include "table.hpp"

namespace plimsoll::cli {
namespace {

constexpr std::size_t kMostListed = 20;

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + printable(word);
  return out;
}

std::string shape_text(const std::vector<std::uint64_t>& shape) {
  std::string out;
  for (const std::uint64_t extent : shape) out += (out.empty() ? "" : " x ") + fmt::to_string(extent);
  return out.empty() ? "scalar" : out;
}

bool same_class(const WeightClassInfo& a, const WeightClassInfo& b) {
  return a.label == b.label && a.dtype == b.dtype && a.shape == b.shape && a.placement == b.placement && a.role == b.role &&
         a.planner == b.planner;
}

std::vector<WeightClassInfo> folded(const std::vector<WeightClassInfo>& classes) {
  std::vector<WeightClassInfo> out;
  for (const WeightClassInfo& info : classes) {
    const auto found = std::find_if(out.begin(), out.end(), [&](const WeightClassInfo& known) { return same_class(known, info); });
    if (found == out.end()) {
      out.push_back(info);
      continue;
    }
    found->count += info.count;
    found->bytes += std::min(info.bytes, UINT64_MAX - found->bytes);
    if (found->stored_bytes && info.stored_bytes) *found->stored_bytes += std::min(*info.stored_bytes, UINT64_MAX - *found->stored_bytes);
  }
  return out;
}

// A heading and the first of many lines.
template <class List, class Text>
std::string listed(std::string_view title, const List& list, const Style& style, Text&& text) {
  if (list.empty()) return {};
  std::string out = "\n" + heading(fmt::format("{} ({})", title, list.size()), style);
  for (std::size_t at = 0; at < std::min(list.size(), kMostListed); ++at) out += paragraph(text(list[at]), style, 2);
  if (list.size() > kMostListed) out += fmt::format("  and {} more; --format json lists them\n", list.size() - kMostListed);
  return out;
}

std::string rank_bytes_section(const std::vector<std::uint64_t>& rank_bytes, const Style& style) {
  std::vector<std::pair<std::uint64_t, std::vector<std::uint32_t>>> folds;
  for (std::size_t rank = 0; rank < rank_bytes.size(); ++rank) {
    const auto found = std::find_if(folds.begin(), folds.end(), [&](const auto& fold) { return fold.first == rank_bytes[rank]; });
    if (found == folds.end()) folds.push_back({rank_bytes[rank], {static_cast<std::uint32_t>(rank)}});
    else found->second.push_back(static_cast<std::uint32_t>(rank));
  }
  if (folds.empty()) return {};
  Table table({{"rank", Align::kLeft, true}, {"bytes", Align::kRight}, {"exactly", Align::kRight}});
  for (const auto& [bytes, ranks] : folds) table.row({rank_list(ranks), human_bytes(bytes), human_count(bytes)});
  return "\n" + heading("Per rank", style) + table.render(style);
}

std::string plugin_state(const PluginInfo& plugin) {
  const std::string_view status = plugin_status_name(plugin.status);
  return plugin.reason.empty() ? std::string(status) : fmt::format("{}: {}", status, printable(plugin.reason));
}

// What others keep of a plugin's names, a line each; empty where it has all.
std::string shadowed_claims(const PluginInfo& plugin, const Style& style) {
  return listed(fmt::format("{} offers, others keep", printable(plugin.id)), plugin.shadowed, style, [](const ShadowedClaim& claim) {
    return fmt::format("{}  {}: {}", printable(claim.name), printable(claim.by), printable(claim.reason));
  });
}

// A count, or nothing where there is nothing to count.
std::string count_text(std::size_t count) { return count == 0 ? std::string() : fmt::to_string(count); }

std::string abi_text(const PluginAbi& abi) { return abi.major == 0 ? std::string() : fmt::format("{}.{}", abi.major, abi.minor); }

// Lines of a title and a text; none where the text is empty.
class Lines {
public:
  explicit Lines(const Style& style) : style_(style) {}
  void add(std::string_view title, const std::string& text) {
    if (!text.empty()) out_ += paragraph(fmt::format("{:<16}{}", title, text), style_, 2);
  }
  const std::string& text() const { return out_; }

private:
  const Style& style_;
  std::string out_;
};

std::string signal_text(const PluginFamily& family) {
  if (family.signal_policy == "never") return family.signal_policy;
  const std::string bytes = family.signal_bytes == 0 ? "the engine's bytes" : human_count(family.signal_bytes) + " bytes";
  return fmt::format("{}, {} site{} of {}", family.signal_policy, family.signal_sites, family.signal_sites == 1 ? "" : "s", bytes);
}

std::string class_defaults_text(std::uint64_t types) {
  return types == 0 ? "" : fmt::format("of {} model type{}", types, types == 1 ? "" : "s");
}

std::string family_section(const PluginFamily& family, const Style& style) {
  Lines lines(style);
  lines.add("aspects", joined(family.aspects));
  lines.add("signal buffers", signal_text(family));
  lines.add("architectures", joined(family.architectures));
  lines.add("model types", joined(family.model_types));
  lines.add("class defaults", class_defaults_text(family.class_defaults));
  lines.add("never quantized", joined(family.never_quantized));
  lines.add("draft modules", joined(family.draft_modules));
  lines.add("draft joins", joined(family.draft_joins));
  lines.add("fusions", joined(family.fusions));
  lines.add("models", printable(family.models_file));
  lines.add("gguf", printable(family.gguf_file));
  return "\n" + heading(fmt::format("Family {}", printable(family.id)), style) + lines.text();
}

} // namespace

std::string weights_report(const WeightsReport& report, const Style& style) {
  std::string out = paragraph(fmt::format("{} parameters; {} declared ({} bytes)", human_count(report.parameters),
                                          human_bytes(report.declared_bytes), human_count(report.declared_bytes)),
                              style, 0);
  if (report.stored_bytes)
    out += paragraph(fmt::format("{} stored ({} bytes), from {}", human_bytes(*report.stored_bytes), human_count(*report.stored_bytes),
                                 weights_source_name(report.source)),
                     style, 0);
  else out += paragraph("no checkpoint: the bytes follow from the configuration", style, 0);
  const std::vector<WeightClassInfo> classes = folded(report.classes);
  // What is stored has a column of its own only where it says something new.
  const bool differs =
      std::any_of(classes.begin(), classes.end(), [](const WeightClassInfo& c) { return c.stored_bytes && *c.stored_bytes != c.bytes; });
  Table table({{"class", Align::kLeft, true},
               {"count", Align::kRight},
               {"shape"},
               {"dtype"},
               {"bytes", Align::kRight},
               {"stored", Align::kRight},
               {"placement"},
               {"role"}});
  for (const WeightClassInfo& info : classes)
    table.row({printable(info.label), human_count(info.count), shape_text(info.shape), printable(info.dtype), human_bytes(info.bytes),
               differs ? human_bytes(info.stored_bytes.value_or(0)) : std::string(), printable(info.placement),
               info.role == "model" ? std::string() : printable(info.role)});
  if (!table.empty()) out += "\n" + heading("Classes", style) + table.render(style);
  out += rank_bytes_section(report.rank_bytes, style);
  out += listed("Not loaded", report.not_loaded, style, [](const NotLoaded& part) {
    return fmt::format("{}  {}  {}", printable(part.label), human_bytes(part.bytes), printable(part.reason));
  });
  out += listed("Stored, declared by no planner", report.unclaimed, style,
                [](const TensorBytes& tensor) { return fmt::format("{}  {}", printable(tensor.name), human_bytes(tensor.bytes)); });
  out += listed("Declared, not stored", report.missing, style, [](const std::string& name) { return printable(name); });
  out += listed("Stored otherwise than declared", report.mismatched, style, [](const Mismatch& tensor) {
    return fmt::format("{}  declared {}, stored {}", printable(tensor.name), printable(tensor.declared), printable(tensor.stored));
  });
  return out + listed("Notes", report.notes, style, [](const std::string& note) { return printable(note); });
}

std::string plugins_report(const std::vector<PluginInfo>& plugins, const Style& style) {
  if (plugins.empty()) return "no plugins found; give a folder with --plugin-path\n";
  Table table({{"id"},
               {"version"},
               {"abi"},
               {"vendor", Align::kLeft, true},
               {"state", Align::kLeft, true},
               {"architectures", Align::kRight},
               {"aliases", Align::kRight},
               {"folder", Align::kLeft, true}});
  for (const PluginInfo& plugin : plugins)
    table.row({printable(plugin.id), printable(plugin.version), abi_text(plugin.abi), printable(plugin.vendor), plugin_state(plugin),
               fmt::to_string(plugin.architectures.size()), count_text(plugin.aliases.size()), printable(plugin.directory)});
  std::string out = table.render(style, 0);
  for (const PluginInfo& plugin : plugins) out += shadowed_claims(plugin, style);
  return out;
}

std::string plugin_report(const PluginInfo& plugin, const Style& style) {
  Lines lines(style);
  lines.add("vendor", printable(plugin.vendor));
  lines.add("folder", printable(plugin.directory));
  lines.add("state", plugin_state(plugin));
  if (plugin.abi.major != 0)
    lines.add("abi", fmt::format("{}, hosts of {}.{} and newer", abi_text(plugin.abi), plugin.abi.major, plugin.abi.min_host_minor));
  if (plugin.status != PluginStatus::kRefused)
    lines.add("library", plugin.library.empty() ? "none: a plugin without code" : printable(plugin.library));
  lines.add("replaces", joined(plugin.replaces));
  lines.add("families", joined(plugin.families));
  std::vector<std::string> aliases, types, formats;
  for (const auto& [name, type] : plugin.aliases) aliases.push_back(fmt::format("{} as {}", name, type));
  for (const PluginType& type : plugin.types)
    types.push_back(fmt::format("{} ({} in {} bytes)", type.name, human_count(type.block_elements), human_count(type.block_bytes)));
  for (const PluginFormat& format : plugin.formats)
    formats.push_back(fmt::format("{} ({} bits: {})", format.name, format.bits_per_element, joined(format.tensors)));
  lines.add("aliases", joined(aliases));
  lines.add("types", joined(types));
  lines.add("formats", joined(formats));
  std::string out = heading(fmt::format("{} {}", printable(plugin.id), printable(plugin.version)), style) + lines.text();
  for (const PluginFamily& family : plugin.family_details) out += family_section(family, style);
  return out + shadowed_claims(plugin, style);
}

std::string devices_report(const std::vector<DeviceCard>& cards, const Result<std::vector<RealDevice>>& real, const Style& style) {
  std::string out = heading("Devices of this machine", style);
  if (real && !real->empty()) {
    Table table({{"index", Align::kRight},
                 {"name", Align::kLeft, true},
                 {"card"},
                 {"kind"},
                 {"free", Align::kRight},
                 {"total", Align::kRight},
                 {"peers"}});
    for (const RealDevice& device : *real)
      table.row({fmt::to_string(device.index), printable(device.name), printable(device.card), device.kind, human_bytes(device.free_bytes),
                 human_bytes(device.total_bytes), rank_list(device.peers)});
    out += table.render(style);
  } else {
    out += paragraph(real ? std::string("none") : fmt::format("none: {}", printable(real.error().message)), style, 2);
  }
  Table table({{"name"}, {"total", Align::kRight}, {"bytes", Align::kRight}, {"kind"}, {"basis"}, {"also called", Align::kLeft, true}});
  for (const DeviceCard& card : cards)
    table.row({printable(card.name), human_bytes(card.total_bytes), human_count(card.total_bytes), printable(card.kind),
               printable(card.basis), joined(card.aliases)});
  out += "\n" + heading("Catalogue", style) + table.render(style);
  std::string machines;
  for (const DeviceCard& card : cards) {
    std::string names;
    for (const CloudMachine& machine : card.machines)
      names += fmt::format("{}{} ({})", names.empty() ? "" : ", ", printable(machine.name), machine.count);
    if (!names.empty()) machines += paragraph(fmt::format("{:<14}{}", printable(card.name), names), style, 2);
  }
  return machines.empty() ? out : out + "\n" + heading("Machines of clouds, by card, and how many each has", style) + machines;
}

std::string verify_report(const VerifyReport& report, const Style& style) {
  std::string out = report.holds
                        ? style.paint(Paint::kGreen, "holds:") + " every part took what the plan says\n"
                        : style.paint(Paint::kRed, "does not hold:") + " " +
                              (report.error ? printable(report.error->message) : std::string("a part took more than planned")) + "\n";
  Table table({{"rank", Align::kRight},
               {"device", Align::kLeft, true},
               {"part"},
               {"planned", Align::kRight},
               {"taken", Align::kRight},
               {"difference", Align::kRight}});
  for (const VerifiedDevice& device : report.devices)
    for (const VerifiedPart& part : device.parts)
      if (part.planned_bytes > 0)
        table.row({fmt::to_string(device.rank), printable(device.name), std::string(category_name(part.category)),
                   human_count(part.planned_bytes), human_count(part.taken_bytes),
                   human_signed_bytes(static_cast<std::int64_t>(part.taken_bytes) - static_cast<std::int64_t>(part.planned_bytes))});
  return out + "\n" + heading("Bytes on the devices", style) + table.render(style);
}

std::string models_report(const std::vector<CatalogueModel>& models, const Style& style) {
  if (models.empty()) return "no model of the catalogue matches\n";
  // The class is shown where there is room for all of it.
  const auto listed_with = [&](bool classes) {
    std::vector<Column> columns{
        {"model"}, {"family"}, {"parameters", Align::kRight}, {"weights", Align::kRight}, {"KV bytes/token", Align::kRight}};
    if (classes) columns.push_back({"architecture"});
    Table table(std::move(columns));
    for (const CatalogueModel& model : models) {
      std::vector<std::string> cells{printable(model.name), printable(model.family), human_count(model.parameters),
                                     human_bytes(model.weights_bytes), human_count(model.kv_bytes_per_token)};
      if (classes) cells.push_back(printable(model.architecture));
      table.row(std::move(cells));
    }
    return table;
  };
  const Table whole = listed_with(true);
  return whole.width_columns() <= style.width_columns ? whole.render(style, 0) : listed_with(false).render(style, 0);
}

} // namespace plimsoll::cli
