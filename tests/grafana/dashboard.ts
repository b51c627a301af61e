// The shape of deploy/grafana/weir.json: Grafana's own types, without the places where they take
// anything. The tests write the dashboard as an expression that `satisfies` this type, so that
// its words stay literal and a field nobody knows is an error; JSON that is imported would widen
// every word to `string`.

import type * as grafana from '@grafana/schema';
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as stateTimeline from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type * as table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as timeSeries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

/** A type as JSON spells it: the words of an enumeration are their text. */
type Json<T> = unknown extends T
  ? T
  : T extends string
    ? `${T}`
    : T extends number | boolean | null | undefined
      ? T
      : T extends Array<infer Item>
        ? Array<Json<Item>>
        : { [Key in keyof T]: Json<T[Key]> };

/** Every query goes to the data source that the reader has chosen. */
interface Prometheus {
  type: 'prometheus';
  uid: '${datasource}';
}

/**
 * A query, written as text, not clicked together. @grafana/schema no longer holds Prometheus' part.
 * Source: github.com/grafana/grafana, packages/grafana-prometheus/src/dataquery.ts.
 */
interface Query extends grafana.DataQuery {
  datasource: Prometheus;
  editorMode: 'code';
  expr: string;
  format?: 'table' | 'time_series';
  instant?: boolean;
  legendFormat?: string;
  range?: boolean;
}

type Defaults<Custom> = Omit<grafana.FieldConfig, 'custom'> & { custom?: Custom };

/** A property that an override sets: of every field, or of this kind of panel alone. */
type Property<Custom> =
  | { [Key in keyof Custom & string]-?: { id: `custom.${Key}`; value: Custom[Key] } }[keyof Custom & string]
  | {
      [Key in Exclude<keyof grafana.FieldConfig, 'custom'>]-?: { id: Key; value: grafana.FieldConfig[Key] };
    }[Exclude<keyof grafana.FieldConfig, 'custom'>];

interface Override<Custom> {
  matcher: { id: 'byName' | 'byRegexp' | 'byFrameRefID'; options: string };
  properties: Array<Property<Custom>>;
}

/**
 * What is done to the answers before they are shown.
 * Source: github.com/grafana/grafana, packages/grafana-data/src/transformations/transformers.
 */
type Transformation =
  | { id: 'merge'; options: Record<string, never> }
  | {
      id: 'organize';
      options: {
        excludeByName: Record<string, boolean>;
        indexByName: Record<string, number>;
        renameByName: Record<string, string>;
      };
    };

interface Panel<Type extends string, Options, Custom>
  extends Omit<grafana.Panel, 'datasource' | 'fieldConfig' | 'options' | 'targets' | 'transformations' | 'type'> {
  type: Type;
  id: number;
  title: string;
  description: string;
  datasource: Prometheus;
  gridPos: grafana.GridPos;
  targets: Query[];
  fieldConfig: { defaults: Defaults<Custom> & { unit: string }; overrides: Array<Override<Custom>> };
  options: Options;
  transformations?: Transformation[];
}

type Shown =
  | Panel<'stat', stat.Options, Record<string, never>>
  | Panel<'state-timeline', stateTimeline.Options, stateTimeline.FieldConfig>
  | Panel<'table', table.Options, Partial<table.FieldConfig>>
  | Panel<'timeseries', timeSeries.Options, timeSeries.FieldConfig>;

interface Row extends Omit<grafana.RowPanel, 'panels'> {
  title: string;
  gridPos: grafana.GridPos;
  panels: Shown[];
}

/**
 * Source of what is not Grafana's common part: github.com/grafana/grafana,
 * packages/grafana-prometheus/src/types.ts.
 */
interface Annotation extends Omit<grafana.AnnotationQuery<Query>, 'datasource'> {
  datasource: Prometheus;
  titleFormat: string;
  useValueForTime: boolean;
}

interface Variable extends Omit<grafana.VariableModel, 'datasource'> {
  datasource?: Prometheus;
}

/** The whole dashboard. */
export type WeirDashboard = Json<
  Omit<grafana.Dashboard, 'annotations' | 'panels' | 'templating'> & {
    uid: string;
    title: string;
    annotations: { list: Annotation[] };
    panels: Array<Row | Shown>;
    templating: { list: Variable[] };
  }
>;
