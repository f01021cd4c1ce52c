-- The tables of the facts recipe, made for an app. Each statement can be repeated.
-- Money is a count of 10^-9 USD. JSON columns hold objects, except for lists of findings.

create table if not exists topics (
  id        text primary key not null check (trim(id) <> ''),
  slug      text not null unique check (trim(slug) <> ''),
  name      text not null check (trim(name) <> ''),
  parent    text references topics (id),
  fact_keys json not null default '{}' check (json_valid(fact_keys) and json_type(fact_keys) = 'object')
);

create table if not exists topic_aliases (
  alias text primary key not null check (trim(alias) <> ''),
  topic text not null references topics (id)
);

create table if not exists entries (
  id          text primary key not null check (trim(id) <> ''),
  name        text not null check (length(trim(name)) between 1 and 200),
  topic       text references topics (id) check (topic is null or trim(topic) <> ''),
  parent      text references entries (id),
  richness    text not null default 'medium' check (richness in ('low', 'medium', 'high')),
  source_type text not null default 'file_seed' check (
    source_type in ('file_seed', 'spinoff_discovery', 'ai_super_fact', 'ai_generated', 'news_extraction')
    or source_type like 'import\_%' escape '\'
  ),
  depth       integer not null default 0 check (depth >= 0),
  data        json check (data is null or (json_valid(data) and json_type(data) = 'object'))
);
create index if not exists entries_by_topic on entries (topic, name);
create index if not exists entries_by_parent on entries (parent);

create table if not exists facts (
  id                text primary key not null check (trim(id) <> ''),
  topic             text not null references topics (id),
  entry             text references entries (id),
  title             text not null check (trim(title) <> ''),
  challenge_title   text,
  facts             json not null default '{}' check (json_valid(facts) and json_type(facts) = 'object'),
  context           text,
  notability_score  real check (notability_score is null or notability_score between 0 and 1),
  notability_reason text,
  source_type       text not null check (
    source_type in ('file_seed', 'spinoff_discovery', 'ai_super_fact', 'ai_generated', 'news_extraction')
    or source_type like 'import\_%' escape '\'
  ),
  status            text not null default 'pending_validation'
    check (status in ('pending_validation', 'validated', 'rejected')),
  findings          json check (findings is null or (json_valid(findings) and json_type(findings) = 'array')),
  content_hash      text,
  expires_at        text,
  cost_nano         integer check (cost_nano is null or cost_nano >= 0)
);
create index if not exists facts_by_title on facts (topic, title);
create index if not exists facts_by_entry on facts (entry);
create index if not exists facts_by_status on facts (status, id);
create index if not exists facts_by_source on facts (source_type, status);
create index if not exists facts_by_content on facts (content_hash);

create table if not exists challenges (
  id             text primary key not null check (trim(id) <> ''),
  fact           text not null references facts (id),
  style          text not null check (style in (
    'multiple_choice', 'direct_question', 'fill_the_gap', 'statement_blank', 'reverse_lookup', 'free_text'
  )),
  difficulty     integer not null check (difficulty between 1 and 5),
  setup_text     text not null,
  challenge_text text not null,
  reveal_correct text not null,
  reveal_wrong   text not null,
  correct_answer text not null,
  style_data     json not null default '{}' check (json_valid(style_data) and json_type(style_data) = 'object'),
  cost_nano      integer check (cost_nano is null or cost_nano >= 0),
  unique (fact, style, difficulty)
);

-- ------------------------------------------------------------------ what the stages select from

-- Entries without a topic whose nearest ancestor that has one is known. A ring of parents ends by itself.
create view if not exists entries_heirs as
with recursive climb (id, ancestor) as (
  select id, parent from entries where topic is null and parent is not null
  union
  select climb.id, above.parent
  from climb join entries above on above.id = climb.ancestor
  where above.topic is null and above.parent is not null
)
select heir.id, heir.name, heir.topic, heir.parent, above.topic as inherited_topic
from climb
join entries above on above.id = climb.ancestor
join entries heir on heir.id = climb.id
where above.topic is not null;

-- n counts on from the facts that have challenges already, so that levels stay even from round to round.
create view if not exists facts_to_challenge as
select facts.id, facts.topic, topics.name as topic_name, entries.name as entry_name, facts.title, facts.challenge_title,
       facts.facts, facts.context, facts.notability_score,
       row_number() over (
         order by exists (select 1 from challenges where challenges.fact = facts.id) desc, facts.id
       ) as n
from facts
join topics on topics.id = facts.topic
left join entries on entries.id = facts.entry
where facts.status = 'validated';

-- --------------------------------------------------------------------------- what audits report

create view if not exists entries_orphans as
select id, name, parent, source_type
from entries
where topic is null and id not in (select id from entries_heirs);

create view if not exists facts_by_origin as
select source_type, status, count(*) as facts from facts group by source_type, status;

-- Facts of little note. One that holds two values or more is rich enough to be written anew; the others are vague.
create view if not exists facts_weak as
select facts.*, (
         select count(*) from json_each(facts.facts) where value is not null and trim(value) <> ''
       ) >= 2 as recoverable
from facts
where notability_score <= 0.5 and status <> 'rejected';

create view if not exists facts_coverage as
select facts.id, facts.title, count(distinct challenges.style) as styles
from facts left join challenges on challenges.fact = facts.id
where facts.status = 'validated'
group by facts.id;

create view if not exists facts_duplicate_titles as
select topic || ' ' || min(id) as id, topic, min(title) as title, count(*) as facts, json_group_array(id) as ids
from facts
group by topic, lower(trim(title))
having count(*) > 1;

create view if not exists facts_nulls as
select source_type, count(*) as facts,
       sum(entry is null) as entry,
       sum(challenge_title is null) as challenge_title,
       sum(context is null) as context,
       sum(notability_score is null) as notability_score,
       sum(notability_reason is null) as notability_reason,
       sum(content_hash is null) as content_hash
from facts group by source_type;

create view if not exists challenges_to_check as
select challenges.id, challenges.fact, challenges.style, challenges.difficulty, challenges.setup_text,
       challenges.challenge_text, challenges.reveal_correct, challenges.reveal_wrong, challenges.correct_answer,
       challenges.style_data, facts.title, entries.name as entry_name
from challenges
join facts on facts.id = challenges.fact
left join entries on entries.id = facts.entry;
