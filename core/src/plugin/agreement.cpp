#include "plugin/agreement.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <string_view>

#include "plugin/abi_text.hpp"

namespace plimsoll {
namespace {

tl::unexpected<Error> differs(const std::string& path, const std::string& what, const std::string& library, const std::string& manifest) {
  return fail(ErrorCode::kPluginFailed,
              fmt::format("{} in the library {}, in its manifest {}; make them the same", what, library, manifest), path);
}

// A text of the library, whatever it says of itself.
std::string_view claimed(std::string_view text) { return text.substr(0, PLIMSOLL_MAX_LABEL_BYTES); }

std::string aspects_text(std::uint32_t aspects) {
  const std::string names = fmt::format("[{}]", fmt::join(aspect_names(aspects), ", "));
  const std::uint32_t unknown = aspects & ~static_cast<std::uint32_t>(PLIMSOLL_ASPECT_ALL);
  return unknown == 0 ? names : fmt::format("{} and unknown bits {:#x}", names, unknown);
}

std::string policy_text(std::uint32_t policy) {
  return policy <= PLIMSOLL_SIGNAL_ALWAYS ? std::string(signal_policy_name(policy)) : fmt::format("{}, which is none", policy);
}

Result<void> check_family(const FamilyManifest& manifest, const plimsoll_family& family, const std::string& path) {
  const std::string who = fmt::format("of family '{}' ", manifest.id);
  if (manifest.aspects != family.aspects)
    return differs(path, who + "the aspects are", aspects_text(family.aspects), aspects_text(manifest.aspects));
  if (manifest.signal_policy != family.signal_policy)
    return differs(path, who + "the signal policy is", policy_text(family.signal_policy), policy_text(manifest.signal_policy));
  if (family.signal_sites > PLIMSOLL_MAX_SIGNAL_SITES || family.signal_bytes > PLIMSOLL_MAX_ITEM_BYTES)
    return fail(ErrorCode::kPluginFailed,
                fmt::format("{}there are {} signal sites of {} B; at most {} of {} B are possible", who, family.signal_sites,
                            family.signal_bytes, PLIMSOLL_MAX_SIGNAL_SITES, PLIMSOLL_MAX_ITEM_BYTES),
                path);
  const std::uint32_t sites = std::max(family.signal_sites, 1U); // 0 counts as 1
  const std::uint32_t said_sites = std::max(manifest.signal_sites, 1U);
  if (said_sites != sites) return differs(path, who + "the signal sites are", std::to_string(sites), std::to_string(said_sites));
  if (manifest.signal_bytes != family.signal_bytes)
    return differs(path, who + "the bytes of a signal site are", std::to_string(family.signal_bytes),
                   std::to_string(manifest.signal_bytes));
  return {};
}

const plimsoll_family* find_family(const plimsoll_plugin& descriptor, std::string_view id) {
  for (std::uint64_t i = 0; descriptor.families != nullptr && i < descriptor.n_families; ++i)
    if (const plimsoll_family* family = descriptor.families[i]; family != nullptr && id == text_of(family->id)) return family;
  return nullptr;
}

} // namespace

Result<void> check_agreement(const Manifest& m, const plimsoll_plugin& descriptor, const std::string& path) {
  const std::string_view id = text_of(descriptor.id);
  const std::string_view version = text_of(descriptor.version);
  if (m.id != id || m.version != version)
    return fail(ErrorCode::kPluginFailed, fmt::format("is {} {}, its manifest says {} {}", claimed(id), claimed(version), m.id, m.version),
                path);
  if (m.abi_minor != descriptor.abi_minor)
    return differs(path, "the ABI's minor is", std::to_string(descriptor.abi_minor), std::to_string(m.abi_minor));
  if (m.min_host_minor != descriptor.abi_minor_min)
    return differs(path, "the oldest host's minor is", std::to_string(descriptor.abi_minor_min), std::to_string(m.min_host_minor));
  for (const FamilyManifest& family : m.families) {
    const plimsoll_family* own = find_family(descriptor, family.id);
    if (own == nullptr)
      return fail(ErrorCode::kPluginFailed, fmt::format("has no family '{}', which its manifest declares", family.id), path);
    PLIMSOLL_TRY(check_family(family, *own, path));
  }
  if (m.families.size() != descriptor.n_families)
    return differs(path, "the number of families is", std::to_string(descriptor.n_families), std::to_string(m.families.size()));
  return {};
}

} // namespace plimsoll
