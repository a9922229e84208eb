// Batches as the files that labelling tools import, and the files in which their answers come back.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "poolwise/campaign/annotations.hpp"
#include "poolwise/campaign/rounds.hpp"

namespace poolwise {

enum class labelling_tool { label_studio, prodigy, potato, doccano, cvat };
/// "label-studio", "prodigy", "potato", "doccano", "cvat". throws usage_error for another word.
labelling_tool labelling_tool_in(const std::string& name);
const std::vector<std::string>& labelling_tools();

/// A task of Label Studio: {"data": {"item": id, "text": ..., ...}, "meta": {"round": 1, "rank": 1, ...}}, as
/// JSON text, in the order of the batch. What a task shows are the columns that [labelling] in campaign.toml
/// names.
/// media  stands before the name of an image or a sound: the address of a server.
/// throws usage_error where [labelling] names no column; as read_items does.
std::vector<std::string> label_studio_tasks(campaign& of, const handed_out& batch, const std::string& media);

/// Label Studio's label config: what it shows, and the labels of campaign.toml as choices. throws usage_error
/// where there are none.
std::string label_studio_config(const campaign_settings& settings);

/// The file that a tool imports: a JSON array for Label Studio, else JSON by lines. throws usage_error for
/// CVAT, which takes images themselves, and for doccano without a text; as label_studio_tasks does.
std::string tasks_file(campaign& of, const handed_out& batch, labelling_tool as, const std::string& media);

/// A file of answers: Label Studio's export "JSON"; Prodigy's `db-out`; Potato's user_state.json, or
/// annotated_instances.jsonl of one person; doccano's JSONL; CVAT's "CVAT for images 1.1" (annotations.xml).
/// An image without an item's id is told by its name: that of the item, with an ending or without, or what
/// [labelling] image says. Records that cannot be read are refused, by their line (JSONL, XML) or number.
/// by  whose answers they are, where the file does not say it.
/// throws io_error; format_error naming the place where the file is none of the tool's.
std::vector<annotation> read_annotations(campaign& of, const std::filesystem::path& file, labelling_tool from,
                                         const std::string& by, std::vector<refused_label>& refused);

/// "2026-12-01T03:26:02.789068Z" in microseconds since 1970; nothing for another text.
std::optional<std::int64_t> microseconds_in(const std::string& time);

}  // namespace poolwise
